// poll_fake.mjs - a fal whose jobs never end: it says so after 5 ms. Prints its
// address; GET /count is how often it was asked.
import http from 'node:http';

let count = 0;
const body = JSON.stringify({ status: 'IN_PROGRESS', logs: null });
const server = http.createServer((req, res) => {
	if (req.url === '/count') return res.end(String(count));
	count++;
	setTimeout(() => {
		res.writeHead(202, { 'content-type': 'application/json', 'content-length': body.length });
		res.end(body);
	}, 5);
	return undefined;
});
server.keepAliveTimeout = 60000;
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
