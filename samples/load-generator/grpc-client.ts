// Makes gRPC's unary calls over a plain HTTP/2 session. The gRPC library would repeat a refused call, and the load must
// never retry.
import { connect, constants, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { decodeEcho, encodeEcho, frame, sayPath, unframe } from "../grpc-echo/echo-message.ts";
import { shownCharacters, type AskOnce } from "./ask-once.ts";
import type { RequestTarget } from "./load-plan.ts";

const greeting = "hello";
const body = frame(encodeEcho(greeting));

/**
 * Returns one client of a gRPC target. It reuses a session until the other side sends GOAWAY, or opens a session for
 * each call.
 */
export function grpcClient(target: RequestTarget, keptAlive: boolean, limitMs: number): AskOnce {
  const { origin, host } = new URL(target.url);
  let kept: ClientHttp2Session | undefined;
  let keptUntilMs = 0;
  let underWay: Writing | undefined;
  const ask = async (): Promise<string> => {
    if (performance.now() > keptUntilMs) kept?.close();
    if (kept === undefined || kept.closed || kept.destroyed) {
      keptUntilMs = performance.now() + target.keptSeconds * 1000;
      kept = connect(origin);
      // A session's error also fails its calls, which report it.
      kept.on("error", () => undefined);
      kept.on("goaway", () => {
        if (underWay?.written === false) underWay.dropped = true;
      });
    }
    const session = kept;
    underWay = writingOn(session);
    try {
      const text = await call(session, { authority: host, headers: target.headers ?? {}, limitMs, writing: underWay });
      if (!text.startsWith(target.expected)) throw new Error(`the wrong body: ${text.slice(0, shownCharacters)}`);
      return text.replace(`${greeting} from `, "");
    } catch (error) {
      if (error instanceof NeverSent) return await ask();
      throw error;
    } finally {
      if (!keptAlive) {
        session.close();
        kept = undefined;
      }
    }
  };
  return ask;
}

/**
 * The other side's GOAWAY arrived before the library had written any part of the call. The library dropped the call.
 */
class NeverSent extends Error {}

interface Writing {
  written: boolean;
  dropped: boolean;
}

/**
 * Returns whether a call that begins now has been written. The library writes the calls of a turn at the end of that
 * turn, just before this callback.
 */
function writingOn(session: ClientHttp2Session): Writing {
  const writing = { written: false, dropped: false };
  const endOfTurn = (): void => {
    setImmediate(() => {
      writing.written = true;
    });
  };
  if (session.connecting) session.once("connect", endOfTurn);
  else endOfTurn();
  return writing;
}

interface CallOptions {
  readonly authority: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly limitMs: number;
  readonly writing: Writing;
}

function call(session: ClientHttp2Session, { authority, headers, limitMs, writing }: CallOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": sayPath,
      ":authority": authority,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    let status = "missing";
    let reason = "";
    let httpStatus = 0;
    const chunks: Buffer[] = [];
    const timer = setTimeout(() => {
      reject(new Error(`no whole answer in ${limitMs} ms`));
      stream.close(constants.NGHTTP2_CANCEL);
    }, limitMs);
    const readStatus = (fields: IncomingHttpHeaders): void => {
      const found = fields["grpc-status"];
      if (found === undefined) return;
      status = String(found);
      reason = String(fields["grpc-message"] ?? "");
    };
    stream.on("response", (fields) => {
      httpStatus = fields[":status"] ?? 0;
      readStatus(fields);
    });
    stream.on("trailers", readStatus);
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", (error: NodeJS.ErrnoException) =>
      reject(writing.dropped ? new NeverSent() : new Error(`${error.code ?? ""} ${error.message}`.trim())),
    );
    stream.on("close", () => {
      clearTimeout(timer);
      const message = unframe(Buffer.concat(chunks));
      if (httpStatus !== 200 || status !== "0" || message === undefined)
        reject(new Error(`HTTP status ${httpStatus}, gRPC status ${status} ${reason}`));
      else resolve(decodeEcho(message));
    });
    stream.end(body);
  });
}
