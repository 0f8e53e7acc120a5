// http_table.mjs - raw HTTP/1.1: requests that must be refused, and how to read
// what comes back.  Sent to the server itself (http_raw.test.mjs) and through
// nginx and HAProxy (tests/torture/front.test.mjs).
// Splits a byte stream into replies; `head` says that requests were HEAD.
export const parse = (text, head) => {
  const replies = [];
  while (text.length > 0) {
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return { replies, rest: text };
    const lines = text.slice(0, end).split('\r\n');
    const headers = {};
    for (const line of lines.slice(1)) {
      const colon = line.indexOf(':');
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 2);
    }
    const status = Number(lines[0].split(' ')[1]);
    text = text.slice(end + 4);
    let body = '';
    if (status >= 200 && status !== 204 && status !== 304 && !head) {
      if (headers['transfer-encoding'] === 'chunked') {
        for (;;) {
          const nl = text.indexOf('\r\n');
          if (nl < 0) return { replies, rest: text };
          const n = parseInt(text.slice(0, nl), 16);
          if (text.length < nl + 2 + n + 2) return { replies, rest: text };
          body += text.slice(nl + 2, nl + 2 + n);
          text = text.slice(nl + 2 + n + 2);
          if (n === 0) break;
        }
      } else {
        const n = Number(headers['content-length'] ?? 0);
        if (text.length < n) return { replies, rest: text };
        body = text.slice(0, n);
        text = text.slice(n);
      }
    }
    replies.push({ status, headers, body });
  }
  return { replies, rest: '' };
};

export const H = 'Host: a\r\n';
export const get = (path, more = '') => `GET ${path} HTTP/1.1\r\n${H}${more}\r\n`;
export const post = (path, type, body, more = '') =>
  `POST ${path} HTTP/1.1\r\n${H}Content-Type: ${type}\r\n` +
  `Content-Length: ${Buffer.byteLength(body, 'latin1')}\r\n${more}\r\n${body}`;
export const json = (path, body, more) => post(path, 'application/json', body, more);
// Every row ends the connection with this status and no second reply.
export const refused = {
  'both lengths': [400, `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  'both lengths, other order': [400, `POST /api/raw HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`],
  'two different lengths': [400, `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`],
  'two equal lengths': [400, `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 2\r\nContent-Length: 2\r\n\r\nab`],
  'length with sign': [400, `POST /api/raw HTTP/1.1\r\n${H}Content-Length: +2\r\n\r\nab`],
  'length negative': [400, `POST /api/raw HTTP/1.1\r\n${H}Content-Length: -2\r\n\r\nab`],
  'length in hex': [400, `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 0x2\r\n\r\nab`],
  'length list': [400, `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 2, 2\r\n\r\nab`],
  'length empty': [400, `POST /api/raw HTTP/1.1\r\n${H}Content-Length: \r\n\r\n`],
  'length with blank inside': [400, `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 1 2\r\n\r\n`],
  'length past 2^64': [413, `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 99999999999999999999\r\n\r\n`],
  'length past 18 digits': [400, `POST /api/raw HTTP/1.1\r\n${H}Content-Length: 1000000000000000000\r\n\r\n`],
  'encoding gzip, chunked': [400, `POST /api/raw HTTP/1.1\r\n${H}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  'encoding identity': [400, `POST /api/raw HTTP/1.1\r\n${H}Transfer-Encoding: identity\r\n\r\n`],
  'encoding chunked twice': [400, `POST /api/raw HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  'encoding with vertical tab': [400, `POST /api/raw HTTP/1.1\r\n${H}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`],
  'encoding chunkedx': [400, `POST /api/raw HTTP/1.1\r\n${H}Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n`],
  'encoding on 1.0': [400, `POST /api/raw HTTP/1.0\r\n${H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  'chunk size not hex': [400, `POST /api/raw HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n`],
  'chunk size negative': [400, `POST /api/raw HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n-1\r\nab\r\n0\r\n\r\n`],
  'chunk without its end': [400, `POST /api/raw HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n`],
  'no host': [400, 'GET /api/hello HTTP/1.1\r\n\r\n'],
  'two hosts': [400, `GET /api/hello HTTP/1.1\r\n${H}Host: b\r\n\r\n`],
  'two equal hosts': [400, `GET /api/hello HTTP/1.1\r\n${H}${H}\r\n`],
  'empty host': [400, 'GET /api/hello HTTP/1.1\r\nHost: \r\n\r\n'],
  'host with a path': [400, 'GET /api/hello HTTP/1.1\r\nHost: a/b\r\n\r\n'],
  'host with a user': [400, 'GET /api/hello HTTP/1.1\r\nHost: u@a\r\n\r\n'],
  'host list': [400, 'GET /api/hello HTTP/1.1\r\nHost: a, b\r\n\r\n'],
  'blank before the colon': [400, `GET /api/hello HTTP/1.1\r\n${H}X-A : b\r\n\r\n`],
  'tab before the colon': [400, `GET /api/hello HTTP/1.1\r\n${H}X-A\t: b\r\n\r\n`],
  'empty header name': [400, `GET /api/hello HTTP/1.1\r\n${H}: b\r\n\r\n`],
  'header without colon': [400, `GET /api/hello HTTP/1.1\r\n${H}nocolon\r\n\r\n`],
  'header name with a slash': [400, `GET /api/hello HTTP/1.1\r\n${H}a/b: c\r\n\r\n`],
  'header name not ASCII': [400, `GET /api/hello HTTP/1.1\r\n${H}x\xe9: c\r\n\r\n`],
  'folded header': [400, `GET /api/hello HTTP/1.1\r\n${H}X-A: b\r\n c\r\n\r\n`],
  'folded with tab': [400, `GET /api/hello HTTP/1.1\r\n${H}X-A: b\r\n\tc\r\n\r\n`],
  'folded length': [400, `POST /api/raw HTTP/1.1\r\n${H}Content-Length:\r\n 2\r\n\r\nab`],
  'first header is folded': [400, `GET /api/hello HTTP/1.1\r\n ${H}\r\n`],
  'NUL in a value': [400, `GET /api/hello HTTP/1.1\r\n${H}X-A: b\0c\r\n\r\n`],
  'NUL at the end of a value': [400, `GET /api/hello HTTP/1.1\r\n${H}X-A: b\0\r\n\r\n`],
  'NULs after a value': [400, `GET /api/hello HTTP/1.1\r\n${H}X-A: b\0\0X-B: c\r\n\r\n`],
  'NUL in a name': [400, `GET /api/hello HTTP/1.1\r\n${H}X\0A: b\r\n\r\n`],
  'NUL in the host': [400, 'GET /api/hello HTTP/1.1\r\nHost: a\0b\r\n\r\n'],
  'NUL in the path': [400, `GET /api/hel\0lo HTTP/1.1\r\n${H}\r\n`],
  'NUL ends the path': [400, `GET /api/hello\0 HTTP/1.1\r\n${H}\r\n`],
  'bare CR in a value': [400, `GET /api/hello HTTP/1.1\r\n${H}X-A: b\rX-B: c\r\n\r\n`],
  'bare CR before the end': [400, `GET /api/hello HTTP/1.1\r\n${H}X-A: b\r\r\n\r\n`],
  'LF only': [400, 'GET /api/hello HTTP/1.1\nHost: a\n\n'],
  'LF after the request line': [400, 'GET /api/hello HTTP/1.1\nHost: a\r\n\r\n'],
  'LF after one header': [400, `GET /api/hello HTTP/1.1\r\n${H}X-A: b\nX-B: c\r\n\r\n`],
  'LF hides a length': [400, `POST /api/raw HTTP/1.1\r\n${H}X-A: b\nContent-Length: 2\r\n\r\nab`],
  'LF as the empty line': [400, `GET /api/hello HTTP/1.1\r\n${H}\n`],
  'control in a value': [400, `GET /api/hello HTTP/1.1\r\n${H}X-A: \x01\r\n\r\n`],
  'absolute target': [400, `GET http://a/api/hello HTTP/1.1\r\n${H}\r\n`],
  'asterisk target': [400, `OPTIONS * HTTP/1.1\r\n${H}\r\n`],
  'authority target': [400, `CONNECT a:80 HTTP/1.1\r\n${H}\r\n`],
  'target with blank': [400, `GET /api/he llo HTTP/1.1\r\n${H}\r\n`],
  'two blanks before the target': [400, `GET  /api/hello HTTP/1.1\r\n${H}\r\n`],
  'two blanks after the target': [400, `GET /api/hello  HTTP/1.1\r\n${H}\r\n`],
  'target with fragment': [400, `GET /api/hello#x HTTP/1.1\r\n${H}\r\n`],
  'target with backslash': [400, `GET /api\\hello HTTP/1.1\r\n${H}\r\n`],
  'target not ASCII': [400, `GET /api/h\xe9 HTTP/1.1\r\n${H}\r\n`],
  'unknown method': [405, `BREW /api/hello HTTP/1.1\r\n${H}\r\n`],
  'TRACE': [405, `TRACE /api/hello HTTP/1.1\r\n${H}\r\n`],
  'method in lower case': [405, `get /api/hello HTTP/1.1\r\n${H}\r\n`],
  'method not a token': [400, `G(T /api/hello HTTP/1.1\r\n${H}\r\n`],
  'HTTP/1.9': [400, `GET /api/hello HTTP/1.9\r\n${H}\r\n`],
  'body on GET': [400, `GET /api/hello HTTP/1.1\r\n${H}Content-Length: 2\r\n\r\nab`],
  'chunked body on GET': [400, `GET /api/hello HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  'body on HEAD': [400, `HEAD /api/hello HTTP/1.1\r\n${H}Content-Length: 2\r\n\r\nab`],
  'body on DELETE': [400, `DELETE /api/things/1 HTTP/1.1\r\n${H}Content-Length: 2\r\n\r\nab`],
  '101 headers': [400, `GET /api/hello HTTP/1.1\r\n${H}${'a: b\r\n'.repeat(100)}\r\n`],
  'target of 9000 bytes': [400, `GET /${'a'.repeat(9000)} HTTP/1.1\r\n${H}\r\n`],
  'head of 40 kB': [431, `GET /api/hello HTTP/1.1\r\n${H}X-A: ${'a'.repeat(40000)}\r\n\r\n`],
  'target of 40 kB': [414, `GET /${'a'.repeat(40000)} HTTP/1.1\r\n${H}\r\n`],
  'body over the limit': [413, json('/api/echo', `{"a":"${'x'.repeat(2000)}"}`)],
  'body where none belongs': [400, json('/api/plain', '{}')],
  'body for no route': [404, json('/api/nope', '{}')],
  'body for another method': [405, json('/api/hello', '{}')],
  'body the gate refuses': [401, json('/api/echo', '{}', 'X-Gate: no\r\n')],
  'text/plain as JSON': [415, post('/api/echo', 'text/plain', '{}')],
  'form as JSON': [415, post('/api/echo', 'application/x-www-form-urlencoded', '{}')],
  'JSON in UTF-16': [415, post('/api/echo', 'application/json; charset=utf-16', '{}')],
  'no type as JSON': [415, `POST /api/echo HTTP/1.1\r\n${H}Content-Length: 2\r\n\r\n{}`],
};
