import assert from "node:assert/strict";
import { once } from "node:events";
import {
  createSecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { DiscoveryRequestSchema, DiscoveryResponseSchema } from "../../../../wire/discovery/index.ts";
import type { Material } from "./pilot-certificates.ts";

/** A pilot's answer: the text of a page, a gRPC status, or undefined for no answer. */
export type Page = (
  name: string,
  headers: IncomingHttpHeaders,
) => string | { readonly grpcStatus: number } | undefined | Promise<string | undefined>;

export interface ServedDebug {
  readonly port: number;
  readonly connections: ReadonlySet<ServerHttp2Session>;
  readonly streams: readonly ServerHttp2Stream[];
  readonly asked: readonly string[];
}

/** A pilot that serves debug pages over discovery, with several requests on one stream. */
export async function serveDebug(
  context: TestContext,
  { certificate, privateKey }: Pick<Material, "certificate" | "privateKey">,
  page: Page,
  host = "127.0.0.1",
): Promise<ServedDebug> {
  const server = createSecureServer({ cert: certificate, key: privateKey });
  const connections = new Set<ServerHttp2Session>();
  const streams: ServerHttp2Stream[] = [];
  const asked: string[] = [];
  server.on("session", (session) => (context.signal.aborted ? session.destroy() : connections.add(session)));
  context.after(() => {
    server.close();
    for (const session of connections) session.destroy();
  });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    streams.push(stream);
    stream.on("error", () => undefined);
    stream.on("data", (bytes: Buffer) => {
      const { node, typeUrl, resourceNames } = fromBinary(DiscoveryRequestSchema, bytes.subarray(5));
      assert.equal(typeUrl, "istio.io/debug");
      assert.equal(node?.id, "sidecar~0.0.0.0~serin-rollout.mesh~mesh.svc.cluster.local");
      const [name = ""] = resourceNames;
      asked.push(name);
      void Promise.resolve(page(name, headers)).then((found) => answer(stream, typeUrl, found));
    });
  });
  server.listen(0, host);
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, connections, streams, asked };
}

function answer(stream: ServerHttp2Stream, typeUrl: string, found: Awaited<ReturnType<Page>>): void {
  if (found === undefined || stream.destroyed) return;
  const head = { ":status": 200, "content-type": "application/grpc" };
  if (!stream.headersSent) stream.respond(head, { waitForTrailers: true });
  if (typeof found !== "string") {
    const trailers = { "grpc-status": String(found.grpcStatus), "grpc-message": "no%20entry" };
    stream.once("wantTrailers", () => stream.sendTrailers(trailers));
    stream.end();
    return;
  }
  const resources = [{ typeUrl, value: Buffer.from(found) }];
  const body = toBinary(DiscoveryResponseSchema, create(DiscoveryResponseSchema, { typeUrl, resources }));
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(body.length, 1);
  stream.write(Buffer.concat([frame, body]));
}
