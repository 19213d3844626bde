import java.io.InputStream;
import java.net.ServerSocket;
import java.net.Socket;

/** Reads to end-of-file and closes with SO_LINGER 0: {@code ResettingServer PORT}. */
public class ResettingServer {
    public static void main(String[] args) throws Exception {
        try (ServerSocket listener = new ServerSocket(Integer.parseInt(args[0]))) {
            while (true) {
                Socket s = listener.accept();
                s.setSoLinger(true, 0);
                InputStream in = s.getInputStream();
                while (in.read() >= 0) {
                    // The request itself does not matter.
                }
                s.close();
            }
        }
    }
}
