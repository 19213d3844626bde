package capture

import "fmt"

// LinkType is a link-layer header type as numbered by the tcpdump group's
// registry (LINKTYPE_ values).
type LinkType uint32

// Link types that a [Decoder] knows.
const (
	LinkNull        LinkType = 0
	LinkEthernet    LinkType = 1
	LinkARCNET      LinkType = 7
	LinkPPP         LinkType = 9
	LinkFDDI        LinkType = 10
	LinkPPPHDLC     LinkType = 50
	LinkPPPEther    LinkType = 51
	LinkRaw         LinkType = 101
	LinkCHDLC       LinkType = 104
	LinkWiFi        LinkType = 105
	LinkLoop        LinkType = 108
	LinkENC         LinkType = 109
	LinkSLL         LinkType = 113
	LinkPFLog       LinkType = 117
	LinkPrism       LinkType = 119
	LinkRadiotap    LinkType = 127
	LinkARCNETLinux LinkType = 129
	LinkPPI         LinkType = 192
	LinkPPPWithDir  LinkType = 204
	LinkIPv4        LinkType = 228
	LinkIPv6        LinkType = 229
	LinkNFLog       LinkType = 239
	LinkPKTAP       LinkType = 258
	LinkSLL2        LinkType = 276

	// Raw IP as DLT_RAW, whose number differs between systems. Some programs
	// write that instead of LINKTYPE_RAW.
	linkRawBSD     LinkType = 12
	linkRawOpenBSD LinkType = 14
)

// String returns the registry's name without its LINKTYPE_ prefix, and
// LINKTYPE_n for a number without a name here.
func (l LinkType) String() string {
	switch l {
	case LinkNull:
		return "NULL"
	case LinkEthernet:
		return "ETHERNET"
	case 3:
		return "AX25"
	case 6:
		return "IEEE802_5"
	case LinkARCNET:
		return "ARCNET_BSD"
	case 8:
		return "SLIP"
	case LinkPPP:
		return "PPP"
	case LinkFDDI:
		return "FDDI"
	case LinkPPPHDLC:
		return "PPP_HDLC"
	case LinkPPPEther:
		return "PPP_ETHER"
	case 100:
		return "ATM_RFC1483"
	case LinkRaw, linkRawBSD, linkRawOpenBSD:
		return "RAW"
	case LinkCHDLC:
		return "C_HDLC"
	case LinkWiFi:
		return "IEEE802_11"
	case 107:
		return "FRELAY"
	case LinkLoop:
		return "LOOP"
	case LinkENC:
		return "ENC"
	case LinkSLL:
		return "LINUX_SLL"
	case LinkPFLog:
		return "PFLOG"
	case LinkPrism:
		return "IEEE802_11_PRISM"
	case 122:
		return "IP_OVER_FC"
	case LinkRadiotap:
		return "IEEE802_11_RADIOTAP"
	case LinkARCNETLinux:
		return "ARCNET_LINUX"
	case 138:
		return "APPLE_IP_OVER_IEEE1394"
	case 163:
		return "IEEE802_11_AVS"
	case 187:
		return "BLUETOOTH_HCI_H4"
	case 189:
		return "USB_LINUX"
	case LinkPPI:
		return "PPI"
	case 195:
		return "IEEE802_15_4_WITHFCS"
	case 201:
		return "BLUETOOTH_HCI_H4_WITH_PHDR"
	case LinkPPPWithDir:
		return "PPP_WITH_DIR"
	case 220:
		return "USB_LINUX_MMAPPED"
	case LinkIPv4:
		return "IPV4"
	case LinkIPv6:
		return "IPV6"
	case LinkNFLog:
		return "NFLOG"
	case 242:
		return "IPOIB"
	case 249:
		return "USBPCAP"
	case 253:
		return "NETLINK"
	case LinkPKTAP:
		return "PKTAP"
	case LinkSLL2:
		return "LINUX_SLL2"
	}
	return fmt.Sprintf("LINKTYPE_%d", uint32(l))
}
