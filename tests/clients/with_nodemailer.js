// Send one message with nodemailer.
const nodemailer = require('nodemailer');

const { PORT, TLS, LOGIN, PASSWORD, TO } = process.env;
const transport = nodemailer.createTransport({
  host: '127.0.0.1',
  port: Number(PORT),
  secure: TLS === 'implicit',
  requireTLS: TLS !== 'implicit',
  auth: { user: LOGIN, pass: PASSWORD },
  tls: { rejectUnauthorized: false },
});
transport.sendMail({ from: LOGIN, to: TO, subject: 'nodemailer', text: 'Hello' }).catch((fault) => {
  console.error(fault.message);
  process.exit(1);
});
