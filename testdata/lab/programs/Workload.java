import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;

/**
 * One workload on HttpURLConnection: {@code Workload with|without URL N}.
 *
 * <p>N GETs one after the other; each body is read. "without" turns keep-alive
 * off by the system property http.keepAlive.
 */
public class Workload {
    public static void main(String[] args) throws Exception {
        System.setProperty("http.keepAlive", Boolean.toString(args[0].equals("with")));
        TrustManager all = new X509TrustManager() {
            public void checkClientTrusted(X509Certificate[] chain, String type) {}
            public void checkServerTrusted(X509Certificate[] chain, String type) {}
            public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
        };
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(null, new TrustManager[] {all}, new SecureRandom());
        HttpsURLConnection.setDefaultSSLSocketFactory(tls.getSocketFactory());
        HttpsURLConnection.setDefaultHostnameVerifier((host, session) -> true);
        for (int i = 0; i < Integer.parseInt(args[2]); i++) {
            HttpURLConnection c = (HttpURLConnection) URI.create(args[1]).toURL().openConnection();
            try (InputStream in = c.getInputStream()) {
                in.readAllBytes();
            }
        }
        System.exit(0);
    }
}
