// Hosts and paths in every spelling, with virtual hosts, redirects and rewrites.
import type { JsonObject } from "@bufbuild/protobuf";
import type { LaneConfig } from "./configuration.ts";
import { http1Request, type JudgedCase, type Suite } from "./judged-case.ts";

const answers = (name: string, status: number, domains: readonly string[], more: JsonObject = {}): JsonObject => ({
  name,
  domains: [...domains],
  routes: [{ match: { prefix: "/" }, directResponse: { status } }],
  ...more,
});

const hostLanes: readonly LaneConfig[] = (["gateway", "inbound"] as const).flatMap((direction) => [
  {
    name: `hosts-${direction}`,
    direction,
    virtualHosts: [
      answers("exact", 210, ["a.test"]),
      answers("exact-port", 202, ["a.test:8080"]),
      answers("suffix", 203, ["*.b.test"]),
      answers("longer", 204, ["*.x.b.test"]),
      answers("dashed", 205, ["*-b.test"]),
      answers("prefix", 206, ["c.*"]),
      answers("upper", 207, ["Upper.Test"]),
      answers("six", 208, ["[::1]"]),
    ],
  },
  {
    name: `hosts-any-${direction}`,
    direction,
    virtualHosts: [answers("exact", 210, ["a.test"]), answers("any", 202, ["*"])],
  },
]);
const hosts = [
  "a.test",
  "A.TEST",
  "a.test:80",
  "a.test:8080",
  "a.test:08080",
  "a.test:",
  "a.test.",
  "a.test.:8080",
  "b.test",
  ".b.test",
  "x.b.test",
  "X.B.TEST",
  "y.x.b.test",
  "x.b.test:8080",
  "x-b.test",
  "-b.test",
  "c.",
  "c.test",
  "c.test:80",
  "C.d.e",
  "upper.test",
  "Upper.Test",
  "[::1]",
  "[::1]:80",
  "[0:0::1]",
  "::1",
  "*",
  "*.b.test",
  "c.*",
  "none",
  "a.test,x",
  "constructor",
  "__proto__",
];

const route = (match: JsonObject, action: JsonObject): JsonObject => ({ match, ...action });
const any: JsonObject = { prefix: "/" };
const redirects: Readonly<Record<string, JsonObject>> = {
  host: { hostRedirect: "c.test" },
  path: { pathRedirect: "/new" },
  "path-query": { pathRedirect: "/new?x=y" },
  prefix: { prefixRewrite: "/new" },
  "prefix-root": { prefixRewrite: "/" },
  https: { httpsRedirect: true },
  port: { portRedirect: 8443 },
  scheme: { schemeRedirect: "https", portRedirect: 443 },
  strip: { hostRedirect: "c.test", stripQuery: true },
  regex: { regexRewrite: { pattern: { regex: "^/a(/.*)?$" }, substitution: "/new\\1" } },
};
const rewrites: Readonly<Record<string, JsonObject>> = {
  prefix: { prefixRewrite: "/new" },
  "prefix-root": { prefixRewrite: "/" },
  regex: { regexRewrite: { pattern: { regex: "^/a(/.*)?$" }, substitution: "/new\\1" } },
  "regex-all": { regexRewrite: { pattern: { regex: "a" }, substitution: "b" } },
  "regex-empty": { regexRewrite: { pattern: { regex: "^/a" }, substitution: "" } },
  host: { hostRewriteLiteral: "c.test" },
  both: { prefixRewrite: "/new", hostRewriteLiteral: "c.test", appendXForwardedHost: true },
};
const matches: Readonly<Record<string, JsonObject>> = {
  exact: { path: "/a" },
  prefix: { prefix: "/a" },
  "under-a": { pathSeparatedPrefix: "/a" },
  regex: { safeRegex: { regex: "/a.*" } },
  "any-case": { prefix: "/a", caseSensitive: false },
  query: { prefix: "/", queryParameters: [{ name: "q", stringMatch: { exact: "1" } }] },
  "query-present": { prefix: "/", queryParameters: [{ name: "q", presentMatch: true }] },
};
const lanesOfRoutes = (
  kind: string,
  actions: Readonly<Record<string, JsonObject>>,
  write: (action: JsonObject) => JsonObject,
): readonly LaneConfig[] =>
  Object.entries(actions).map(([name, action]) => ({
    name: `${kind}-${name}`,
    direction: "gateway" as const,
    virtualHosts: [
      { name: "any", domains: ["*"], routes: [write(action), route(any, { directResponse: { status: 418 } })] },
    ],
  }));
const routeLanes = [
  ...lanesOfRoutes("redirect", redirects, (redirect) => route({ prefix: "/a" }, { redirect })),
  ...lanesOfRoutes("rewrite", rewrites, (action) => route({ prefix: "/a" }, { route: { cluster: "LANE", ...action } })),
  ...lanesOfRoutes("matched", matches, (match) => route(match, { directResponse: { status: 200 } })),
];

const paths = [
  "/a",
  "/a/",
  "/ab",
  "/A",
  "/a/b",
  "/a//b",
  "/a//evil.test",
  "/a//evil.test/..",
  "/a/%2fevil.test",
  "/a/\\evil.test",
  "/a\\evil.test",
  "/a/%5cevil.test",
  "//a",
  "//evil.test/a",
  "/a/../b",
  "/b/../a",
  "/a?x",
  "/a?",
  "/a?x=//evil.test",
  "/a?q=1",
  "/a?q=2",
  "/a?q",
  "/a?q=",
  "/a?Q=1",
  "/a?q=1&q=2",
  "/a?q=2&q=1",
  "/a?%71=1",
  "/a?q=%31",
  "/a?x=1;q=1",
  "/a?q=1#f",
  "/a#x",
  "/a#//evil.test",
  "/a;x",
  "/%61",
  "/a%0d%0aX:y",
  "/a%00",
  "/a\xe9",
  "/a%e9",
  "/a/@evil.test",
  "/a:80",
  "/a/c.test/x",
  "/aaa",
  "/ahttp://evil.test/x",
  "/a.evil.test",
  "http://evil.test/a",
  "http://evil.test/a/b",
];
const headerLines = [
  "",
  "x-host: d.test\r\n",
  "x-host: d.test\r\nx-host: e.test\r\n",
  "x-host:\r\n",
  "x-host: d.test/x\r\n",
  "x-host: d test\r\n",
  "X-Forwarded-Proto: https\r\n",
  "X-Forwarded-Host: evil.test\r\n",
  "X-Forwarded-Port: 1\r\n",
  "content-type: application/grpc\r\n",
  "content-type: application/grpc+proto\r\n",
  "content-type: application/grpcx\r\n",
  "content-type: APPLICATION/GRPC\r\n",
];

const send = (lane: string, text: string, from?: string): JudgedCase => ({
  ...http1Request(lane, text, from),
  comparesAnswer: true,
});

export function routeSuite(): Suite {
  const byHost = hostLanes.flatMap(({ name }) =>
    hosts.flatMap((host) => [
      send(name, `GET /a HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
      send(name, `GET http://${host}/a HTTP/1.1\r\nHost: z.test\r\n\r\n`),
    ]),
  );
  const byPath = routeLanes.flatMap(({ name }) => [
    ...paths.map((path) => send(name, `GET ${path} HTTP/1.1\r\nHost: a.test\r\n\r\n`)),
    ...hosts.map((host) => send(name, `GET /a/b HTTP/1.1\r\nHost: ${host}\r\n\r\n`)),
    ...headerLines.map((line) =>
      send(name, `POST /a/b HTTP/1.1\r\nHost: a.test:8080\r\n${line}Content-Length: 0\r\n\r\n`),
    ),
    send(name, "GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n", "203.0.113.1"),
  ]);
  return { name: "routes", least: 2000, lanes: [...hostLanes, ...routeLanes], cases: [...byHost, ...byPath] };
}
