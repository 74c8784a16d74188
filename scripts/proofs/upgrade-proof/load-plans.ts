// Decides which client sends requests to which service. One generator is outside the mesh and comes through the
// gateway, one runs in an ambient namespace, and one in a namespace with sidecars.
import type { ConnectionTarget, LoadPlan, RequestTarget } from "../../../samples/load-generator/load-plan.ts";
import { podReportDirectory } from "./proof-lab.ts";

/** `bookinfo` (with a waypoint) and `echoes` are ambient, `demo-a` and `demo-b` have sidecars. */
export const namespaces = {
  mesh: "istio-system",
  shop: "bookinfo",
  echoes: "echoes",
  sidecarClients: "demo-a",
  sidecarServers: "demo-b",
} as const;
export const ambientNamespaces = [namespaces.shop, namespaces.echoes];

export interface LoadScale {
  /** The factor for the rates of requests and of messages. */
  readonly rate: number;
  readonly streamSeconds: number;
  /**
   * The factors by which `rate` is multiplied for a target's requests, and for the messages of long connections. If
   * absent, both are 1.
   */
  readonly shares?: { readonly ofTarget: (target: string) => number; readonly ofMessages: number };
}

const limitMs = 4000;
/**
 * How long a kept-alive connection stays open. It must end at some time, because an old ztunnel ends only after its
 * last connection.
 */
const maxKeptSeconds = 60;
/** The time between two messages of a long connection at the full rate, and the longest such time at lower rates. */
const fastestMessagesMs = 150;
const slowestMessagesMs = 2000;
const page = "<title>Simple Bookstore App</title>";
/** Version v2 of reviews has black stars. */
const blackStars = {
  url: `http://reviews.${namespaces.shop}:9080/reviews/0`,
  expected: '"color":"black"',
  answerPattern: '"podname":"([^"]+)"',
};
const appB = {
  url: `http://app-b.${namespaces.sidecarServers}/`,
  expected: "Hostname:",
  answerPattern: "Hostname: (\\S+)",
};

function http(
  name: string,
  target: { readonly url: string; readonly expected: string; readonly answerPattern?: string },
  perSecond: number,
): PlannedRequest {
  return { name, protocol: "http", ...target, keptAlive: 2, newConnections: 2, perSecond };
}

function grpc(name: string, url: string, perSecond: number): PlannedRequest {
  return { name, protocol: "grpc", url, expected: "hello from", keptAlive: 2, newConnections: 2, perSecond };
}

function streams(from: string, host: string, scale: LoadScale): ConnectionTarget[] {
  const { streamSeconds: seconds, shares } = scale;
  const rate = scale.rate * (shares?.ofMessages ?? 1);
  const held = { count: 2, seconds, messageEveryMs: Math.min(slowestMessagesMs, fastestMessagesMs / rate) };
  return [
    { name: `${from}: TCP stream`, kind: "tcp", url: `tcp://${host}:9000`, ...held },
    { name: `${from}: WebSocket`, kind: "websocket", url: `ws://${host}:8080/socket`, ...held },
    { name: `${from}: download`, kind: "download", url: `http://${host}:8080/download`, ...held },
  ];
}

type PlannedRequest = Omit<RequestTarget, "keptSeconds">;

function plan(
  { rate, streamSeconds, shares }: LoadScale,
  reportDirectory: string,
  planned: readonly PlannedRequest[],
  connections: readonly ConnectionTarget[],
): LoadPlan {
  const rateOf = ({ name }: PlannedRequest): number => rate * (shares?.ofTarget(name) ?? 1);
  const keptSeconds = Math.min(maxKeptSeconds, streamSeconds);
  return {
    reportDirectory,
    limitMs,
    requests: planned.map((target) => ({ ...target, perSecond: target.perSecond * rateOf(target), keptSeconds })),
    connections,
  };
}

/**
 * The load through the gateway: bookinfo's page (whose requests also pass a waypoint), an application with a sidecar,
 * gRPC, and long connections.
 */
export function gatewayPlan(address: string, reportDirectory: string, scale: LoadScale): LoadPlan {
  const requests = [
    http(
      "gateway: page",
      { url: `http://${address}/productpage`, expected: page, answerPattern: "Reviews served by:</dt>\\s*<dd>([^<]*)" },
      24,
    ),
    {
      ...http("gateway: traced page", { url: `http://${address}/productpage`, expected: page }, 6),
      headers: { tracestate: "vendor=1" },
    },
    http(
      "gateway: app-b",
      { url: `http://${address}/echo`, expected: "Hostname:", answerPattern: "Hostname: (\\S+)" },
      50,
    ),
    grpc("gateway: gRPC", `http://${address}`, 30),
  ];
  const [, webSocket, download] = streams("gateway", address, scale);
  const connections = [webSocket, download].flatMap((target) =>
    target === undefined ? [] : [{ ...target, url: target.url.replace(":8080", "") }],
  );
  return { ...plan(scale, reportDirectory, requests, connections), name: "gateway", untilInputEnds: true };
}

/**
 * The load from an ambient pod: to a service with a waypoint, to services that only ztunnels serve, and to an
 * application with a sidecar.
 */
export function ambientPlan(scale: LoadScale, withSidecars: boolean): LoadPlan {
  const requests = [
    http("ambient: reviews by waypoint", withSidecars ? blackStars : { ...blackStars, expected: '"reviews":[{' }, 40),
    http(
      "ambient: details",
      { url: `http://details.${namespaces.shop}:9080/details/0`, expected: "William Shakespeare" },
      30,
    ),
    grpc("ambient: gRPC", `http://grpc-echo.${namespaces.echoes}:7070`, 50),
    ...(withSidecars ? [http("ambient: app-b by sidecar", appB, 30)] : []),
  ];
  return plan(scale, podReportDirectory, requests, streams("ambient", `streams.${namespaces.echoes}`, scale));
}

/**
 * The load from a pod with a sidecar: to an application and a gRPC service with sidecars, and to a service with a
 * waypoint.
 */
export function sidecarPlan(scale: LoadScale): LoadPlan {
  const requests = [
    http("sidecar: app-b", appB, 50),
    http("sidecar: reviews by waypoint", blackStars, 20),
    grpc("sidecar: gRPC", `http://grpc-echo.${namespaces.sidecarServers}:7070`, 30),
  ];
  return plan(scale, podReportDirectory, requests, streams("sidecar", `streams.${namespaces.sidecarServers}`, scale));
}

/** Whether the target's long connections may end because a wave restarts their pod. */
export function mayEndWithPod(target: string): boolean {
  return target.startsWith("sidecar: ");
}
