// Echo server on uWebSockets, which is what Bun's server is made of.
// bun uwebsockets.js [--deflate] [--max-message BYTES]
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: { deflate: { type: "boolean" }, "max-message": { type: "string" } },
});

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, server) =>
    server.upgrade(request) ? undefined : new Response("WebSocket only", { status: 426 }),
  websocket: {
    perMessageDeflate: values.deflate ? { compress: "dedicated", decompress: "dedicated" } : false,
    ...(values["max-message"] && { maxPayloadLength: Number(values["max-message"]) }),
    message: (socket, message) => {
      socket.send(message, values.deflate === true);
    },
  },
});
console.log(`listening on 127.0.0.1:${server.port}`);
