// `node get.mjs cert.pem URL`: what the https module of Node.js says.
import { readFileSync } from 'node:fs';
import { get } from 'node:https';

const [ca, url] = process.argv.slice(2);
const failed = (error) => console.log(`${error.code}: ${error.message}`);
get(url, { ca: readFileSync(ca), agent: false }, (response) => {
  let received = 0;
  response.on('data', (data) => (received += data.length));
  response.on('end', () => console.log(`complete: ${received} bytes`));
  response.on('error', failed);
}).on('error', failed);
