import type { IncomingMessage } from "node:http";
import type { Server } from "node:net";
import { transientError, userError } from "../../base/index.ts";
import { readBytes } from "../../base/joined-bytes/index.ts";

export async function listening<Listener extends Server>(
  server: Listener,
  address: string,
  port: number,
): Promise<Listener> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        transientError("cannot-listen", `cannot listen on ${address}:${port}: ${error.message}`, { cause: error }),
      ),
    );
    server.listen(port, address, resolve);
  });
  return server;
}

/** The body of a request as text. Throws a user error if it is longer than `maxBytes`. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<string> {
  const body = await readBytes(request as AsyncIterable<Buffer>, maxBytes, () =>
    userError("request-too-long", `the request is larger than ${maxBytes} bytes`),
  );
  return body.toString("utf8");
}
