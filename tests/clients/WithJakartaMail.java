// Send one message with Jakarta Mail (Angus).
import jakarta.mail.Authenticator;
import jakarta.mail.Message;
import jakarta.mail.PasswordAuthentication;
import jakarta.mail.Session;
import jakarta.mail.Transport;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeMessage;
import java.util.Properties;

public class WithJakartaMail {
    public static void main(String[] none) throws Exception {
        boolean implicit = System.getenv("TLS").equals("implicit");
        Properties settings = new Properties();
        settings.put("mail.smtp.host", "127.0.0.1");
        settings.put("mail.smtp.port", System.getenv("PORT"));
        settings.put("mail.smtp.auth", "true");
        settings.put("mail.smtp.ssl.enable", String.valueOf(implicit));
        settings.put("mail.smtp.starttls.required", String.valueOf(!implicit));
        settings.put("mail.smtp.starttls.enable", String.valueOf(!implicit));
        settings.put("mail.smtp.ssl.trust", "*");
        settings.put("mail.smtp.ssl.checkserveridentity", "false");
        Session session = Session.getInstance(settings, new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                return new PasswordAuthentication(System.getenv("LOGIN"), System.getenv("PASSWORD"));
            }
        });
        MimeMessage message = new MimeMessage(session);
        message.setFrom(new InternetAddress(System.getenv("LOGIN")));
        message.setRecipients(Message.RecipientType.TO, System.getenv("TO"));
        message.setSubject("Jakarta Mail");
        message.setText("Hello");
        Transport.send(message);
    }
}
