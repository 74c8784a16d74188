import { Duplex } from "node:stream";
import { silentLogger, systemClock } from "../../../base/index.ts";
import type { OwnCredentials } from "../access/identity.ts";
import { AuditLog } from "../audit-log.ts";
import type { Measurements } from "../measurements.ts";
import { createHandlers } from "../requests/create-handlers.ts";
import { RequestFields } from "../requests/request-fields.ts";
import type { RequestHandlers } from "../requests/request-handlers.ts";
import { FakeKubeApi, type FakeKubeApiOptions } from "./fake-kube-api.ts";
import { syntheticIdentity } from "./synthetic-access.ts";

const config = { server: "https://10.0.0.1:6443", context: "c", namespace: "dev" };
export const stoppedClock = { ...systemClock, nowMs: () => Date.parse("2026-01-01T12:00:00Z") };

/** A stream to an HTTP server that answers every request with this response. */
function answering(status: number, body: string): Duplex {
  const stream = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => {
      stream.push(
        `HTTP/1.1 ${status} OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
      );
      stream.push(null);
      done();
    },
  });
  return stream;
}

export interface RigOptions {
  readonly dump?: string;
  readonly series?: Measurements["series"];
}

export function requestRig(
  options: FakeKubeApiOptions = {},
  { dump = "{}", series = async () => await Promise.resolve({ timesMs: [], values: [] }) }: RigOptions = {},
) {
  const api = new FakeKubeApi(options);
  const audit = new AuditLog({ clock: stoppedClock, log: silentLogger });
  const handlers = createHandlers({
    measurements: { series },
    audit,
    clock: stoppedClock,
    log: silentLogger,
    istioNamespace: "istio-system",
    releaseDirectory: "/",
    env: {},
    ended: new AbortController().signal,
  });
  const own: OwnCredentials = {
    client: api,
    config,
    connectToPod: async () => await Promise.resolve(answering(200, dump)),
  };
  const identity = syntheticIdentity({
    own,
    reading: api,
    may: async (right) => await Promise.resolve(api.allows(right)),
  });
  const ask = async <Name extends keyof RequestHandlers>(
    name: Name,
    fields: object,
    who = identity,
    signal = new AbortController().signal,
  ): Promise<Awaited<ReturnType<RequestHandlers[Name]>>> => {
    const handler = handlers[name] as (
      fields: RequestFields,
      who: typeof identity,
      signal: AbortSignal,
    ) => Promise<unknown>;
    return (await handler(RequestFields.ofJson(JSON.stringify(fields)), who, signal)) as Awaited<
      ReturnType<RequestHandlers[Name]>
    >;
  };
  return { api, audit, ask, identity };
}
