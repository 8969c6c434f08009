// Echo server on ws, on Node.js.
// node ws.js [--deflate] [--max-message BYTES]
import { parseArgs } from "node:util";

import { WebSocketServer } from "ws";

const { values } = parseArgs({
  options: { deflate: { type: "boolean" }, "max-message": { type: "string" } },
});

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  perMessageDeflate: values.deflate === true,
  ...(values["max-message"] && { maxPayload: Number(values["max-message"]) }),
});
server.on("connection", (socket) => {
  socket.on("message", (message, isBinary) => socket.send(message, { binary: isBinary }));
  // A client that goes away without a Close is how every measurement ends.
  socket.on("error", () => {});
});
server.on("listening", () => console.log(`listening on 127.0.0.1:${server.address().port}`));
