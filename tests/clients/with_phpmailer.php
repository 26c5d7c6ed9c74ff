<?php
// Send one message with PHPMailer, as Debian installs it.
foreach (['Exception', 'PHPMailer', 'SMTP'] as $part) {
    require "/usr/share/php/libphp-phpmailer/src/$part.php";
}
$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->Host = '127.0.0.1';
$mail->Port = (int) getenv('PORT');
$mail->SMTPAuth = true;
$mail->Username = getenv('LOGIN');
$mail->Password = getenv('PASSWORD');
$mail->SMTPSecure = getenv('TLS') === 'implicit' ? 'ssl' : 'tls';
$mail->SMTPOptions = ['ssl' => ['verify_peer' => false, 'verify_peer_name' => false, 'allow_self_signed' => true]];
$mail->setFrom(getenv('LOGIN'));
$mail->addAddress(getenv('TO'));
$mail->Subject = 'PHPMailer';
$mail->Body = 'Hello';
$mail->send();
