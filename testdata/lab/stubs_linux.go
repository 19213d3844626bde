package main

func framingScenarios() []*Scenario    { return nil }
func pipeliningScenarios() []*Scenario { return nil }
func hopByHopScenarios() []*Scenario   { return nil }
func timeWaitScenarios() []*Scenario   { return nil }
func shutdownScenarios() []*Scenario   { return nil }
func healthyScenarios() []*Scenario    { return nil }
