import java.io.FileInputStream;
import java.io.IOException;
import java.net.URI;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/** `java Get.java cert.pem URL [shutdown]`: what HttpsURLConnection says, or SSLSocket.shutdownInput before any data. */
public class Get {
    public static void main(String[] args) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null);
        try (FileInputStream pem = new FileInputStream(args[0])) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        URI url = URI.create(args[1]);
        try {
            if (args.length > 2) {
                SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(url.getHost(), url.getPort());
                socket.startHandshake();
                socket.shutdownInput();
            } else {
                HttpsURLConnection connection = (HttpsURLConnection) url.toURL().openConnection();
                connection.setSSLSocketFactory(context.getSocketFactory());
                System.out.println("complete: " + connection.getInputStream().readAllBytes().length + " bytes");
            }
        } catch (IOException error) {
            for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                System.out.println(cause);
            }
        }
    }
}
