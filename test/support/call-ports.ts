// Makes the calls that it reads as JSON from standard input, from its own network namespace. Prints the result of each.
import { request as requestHttp } from "node:http";
import { connect } from "node:http2";
import { request as requestHttps } from "node:https";
import { Socket } from "node:net";
import { text } from "node:stream/consumers";

export interface Call {
  readonly method?: string;
  /**
   * `http:` and `https:` send a request. `grpc:` and `grpcs:` call a method. `tcp:` sends an HTTP request, byte by byte
   * and without TLS.
   */
  readonly url: string;
  readonly token?: string;
  /** A gRPC message in base64. By default, an empty message. */
  readonly message?: string;
}

/**
 * For HTTP a status such as `200`. For gRPC a status such as `grpc 16`, or `grpc message`, or `grpc key` if the answer
 * contains a private key. `none` without an answer.
 */
export type CallAnswer = string;

const limitMs = 10_000;

async function overHttp({ method = "GET", url, token }: Call): Promise<CallAnswer> {
  const options = {
    method,
    timeout: limitMs,
    rejectUnauthorized: false,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  };
  return await new Promise((resolve) => {
    const outgoing = (url.startsWith("https:") ? requestHttps : requestHttp)(url, options, (response) => {
      response.resume();
      resolve(String(response.statusCode));
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("timeout")));
    outgoing.on("error", () => resolve("none"));
    outgoing.end();
  });
}

async function overGrpc({ url, token, message = "" }: Call): Promise<CallAnswer> {
  const { host, pathname } = new URL(url.replace(/^grpc/, "http"));
  const session = connect(`${url.startsWith("grpcs:") ? "https" : "http"}://${host}`, { rejectUnauthorized: false });
  const limit = setTimeout(() => session.destroy(), limitMs);
  try {
    return await new Promise((resolve) => {
      let other = "none";
      session.on("error", () => resolve(other));
      session.on("close", () => resolve(other));
      const stream = session.request({
        ":method": "POST",
        ":path": pathname,
        "content-type": "application/grpc",
        te: "trailers",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      });
      const status = (headers: Readonly<Record<string, unknown>>): void => {
        const code = headers["grpc-status"];
        if (typeof code === "string" || typeof code === "number") resolve(`grpc ${code}`);
      };
      stream.on("response", status);
      stream.on("trailers", status);
      stream.on("data", (chunk: Buffer) => {
        // A later message may contain a key.
        other = "grpc message";
        if (chunk.includes("PRIVATE KEY")) resolve("grpc key");
      });
      stream.on("error", () => resolve(other));
      const body = Buffer.from(message, "base64");
      const head = Buffer.alloc(5);
      head.writeUInt32BE(body.length, 1);
      // A discovery stream stays open for more requests, so it is not ended before its answer.
      stream.write(Buffer.concat([head, body]));
      if (message === "") stream.end();
    });
  } finally {
    clearTimeout(limit);
    session.destroy();
  }
}

/**
 * A connection that is accepted and then closed without a byte is no answer: a redirect accepts connections for other
 * sockets.
 */
async function overTcp({ url }: Call): Promise<CallAnswer> {
  const { hostname, port } = new URL(url.replace(/^tcp/, "http"));
  return await new Promise((resolve) => {
    const socket = new Socket();
    socket.setTimeout(limitMs, () => socket.destroy());
    socket.on("data", () => resolve("answer"));
    socket.on("close", () => resolve("none"));
    socket.on("error", () => resolve("none"));
    socket.connect(Number(port), hostname.replace(/[[\]]/g, ""), () =>
      socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
    );
  });
}

const calls = JSON.parse(await text(process.stdin)) as readonly Call[];
const answers = await Promise.all(
  calls.map(async (call) => {
    if (call.url.startsWith("grpc")) return await overGrpc(call);
    return await (call.url.startsWith("tcp:") ? overTcp(call) : overHttp(call));
  }),
);
process.stdout.write(JSON.stringify(answers));
process.exit(0);
