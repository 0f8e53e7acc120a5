// ws_peer - the peer of ws-fanout: npm ws, every line of stdin to every socket.
import { createInterface } from 'node:readline';
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
server.on('listening', () => console.log(server.address().port));
createInterface({ input: process.stdin }).on('line', (line) => {
	const data = Buffer.from(line);
	for (const socket of server.clients) socket.send(data, { binary: false });
});
