# Send one message with Perl's Net::SMTP.
use strict;
use warnings;
use Net::SMTP;

my %tls      = (SSL_verify_mode => 0);
my $implicit = $ENV{TLS} eq 'implicit';
my $client   = Net::SMTP->new('127.0.0.1', Port => $ENV{PORT}, SSL => $implicit, Timeout => 20, %tls)
  or die "no connection: $@";
$implicit or $client->starttls(%tls) or die 'STARTTLS: ' . $client->message;
$client->auth($ENV{LOGIN}, $ENV{PASSWORD}) or die 'AUTH: ' . $client->message;
$client->mail($ENV{LOGIN}) or die 'MAIL: ' . $client->message;
$client->to($ENV{TO})      or die 'RCPT: ' . $client->message;
$client->data("From: $ENV{LOGIN}\nSubject: Net::SMTP\n\nHello\n") or die 'DATA: ' . $client->message;
$client->quit;
