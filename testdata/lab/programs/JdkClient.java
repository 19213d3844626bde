import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;

/**
 * Java's ways to be a client: {@code JdkClient MODE URL N}.
 *
 * <p>httpclient: java.net.http.HttpClient on HTTP/1.1. leak: one of
 * those for each request, all kept. urlconnection: HttpURLConnection, POST, kept
 * alive. socket: a plain Socket that writes head and body apart, with Nagle on as Java leaves it.
 */
public class JdkClient {
    public static void main(String[] args) throws Exception {
        URI uri = URI.create(args[1]);
        int n = Integer.parseInt(args[2]);
        switch (args[0]) {
            case "httpclient" -> {
                HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
                for (int i = 0; i < n; i++) {
                    client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString());
                }
            }
            case "leak" -> {
                List<HttpClient> kept = new ArrayList<>();
                for (int i = 0; i < n; i++) {
                    HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
                    client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString());
                    kept.add(client);
                    Thread.sleep(100);
                }
                Thread.sleep(60_000);
                System.out.println(kept.size());
            }
            case "urlconnection" -> {
                for (int i = 0; i < n; i++) {
                    HttpURLConnection c = (HttpURLConnection) uri.toURL().openConnection();
                    c.setRequestMethod("POST");
                    c.setDoOutput(true);
                    try (OutputStream out = c.getOutputStream()) {
                        out.write("{\"sku\":\"A-1\"}".getBytes());
                    }
                    try (InputStream in = c.getInputStream()) {
                        in.readAllBytes();
                    }
                }
            }
            case "socket" -> {
                byte[] body = "{\"sku\":\"A-1\",\"quantity\":3}".getBytes();
                byte[] head = ("POST " + uri.getPath() + " HTTP/1.1\r\nHost: shop.test\r\nContent-Length: "
                        + body.length + "\r\n\r\n").getBytes();
                try (Socket s = new Socket(uri.getHost(), uri.getPort())) {
                    for (int i = 0; i < n; i++) {
                        OutputStream out = s.getOutputStream();
                        out.write(head);
                        out.flush();
                        out.write(body);
                        out.flush();
                        skipResponse(s.getInputStream());
                    }
                }
            }
            default -> throw new IllegalArgumentException(args[0]);
        }
        System.exit(0);
    }

    private static void skipResponse(InputStream in) throws Exception {
        StringBuilder head = new StringBuilder();
        while (head.indexOf("\r\n\r\n") < 0) {
            head.append((char) in.read());
        }
        for (String line : head.toString().split("\r\n")) {
            if (line.toLowerCase().startsWith("content-length:")) {
                in.readNBytes(Integer.parseInt(line.substring(15).trim()));
            }
        }
    }
}
