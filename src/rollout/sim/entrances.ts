import type { SimRequest } from "./canary-rules.ts";
import { type SimApp, guestPath, httpPort, otherHttpPort, plainCanary, tcpPort } from "./canary-shape.ts";

/** One kind of requests of an application's clients, and what routes them. */
export interface Entrance {
  /** The names of the routes that may apply, the first one first. */
  readonly names: readonly string[];
  /** The Service whose pods get the requests if no route applies. If absent, such requests do not exist. */
  readonly service?: string;
  readonly request: SimRequest;
}

export function entrancesOf({ name, canary: shape = plainCanary }: SimApp): Entrance[] {
  const http: SimRequest = { port: httpPort, protocol: "http", matched: false };
  const matched = shape.first === "match" ? [{ ...http, matched: true }] : [];
  switch (shape.target) {
    case "namespaces":
      return [name, `api-${name}`].flatMap((route) =>
        [http, ...matched].map((request) => ({ names: [route], request })),
      );
    case "services":
      return [http, ...matched].map((request) => ({ names: [`${name}-canary`], service: name, request }));
    case "deployment": {
      const more = shape.onePort || shape.second ? [{ ...http, port: otherHttpPort }] : [];
      const tcp: SimRequest[] = shape.tcpPort ? [{ port: tcpPort, protocol: "tcp", matched: false }] : [];
      return [http, ...matched, ...more, ...tcp].map((request) => ({
        names: [`${name}-canary`, `${name}-canary-${request.port}`],
        service: name,
        request,
      }));
    }
    default: {
      const port = { http: httpPort, tcp: tcpPort, tls: 443 }[shape.protocol];
      const request: SimRequest = { port, protocol: shape.protocol, matched: false };
      const path = shape.guestOf === undefined ? {} : { path: guestPath(name) };
      return [request, ...matched].map((sent) => ({ names: [shape.guestOf ?? name], request: { ...sent, ...path } }));
    }
  }
}
