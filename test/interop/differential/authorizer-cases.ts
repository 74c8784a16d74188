// What a proxy asks an external authorizer about odd requests, and what it does with the answers. The lane's upstream
// is also the authorizer, so both the question and the request that follows are compared.
import type { JsonObject } from "@bufbuild/protobuf";
import { policy, type LaneConfig } from "./configuration.ts";
import { raw, type JudgedCase, type Suite } from "./judged-case.ts";

function authorizer(more: JsonObject = {}, service: JsonObject = {}): JsonObject {
  return {
    name: "envoy.filters.http.ext_authz",
    typedConfig: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
      transportApiVersion: "V3",
      httpService: {
        serverUri: { uri: "http://authz.test", cluster: "LANE", timeout: "2s" },
        pathPrefix: "/check",
        ...service,
      },
      ...more,
    },
  };
}

const patterns = (...names: JsonObject[]): JsonObject => ({ patterns: names });
const someHeaders = patterns({ prefix: "x-", ignoreCase: true }, { exact: "cookie" }, { exact: "x-role" });
const lane = (name: string, filter: JsonObject, more: Partial<LaneConfig> = {}): LaneConfig => ({
  name: `authz-${name}`,
  direction: "inbound",
  firstFilters: [filter],
  ...more,
});
const answers: JsonObject = {
  authorizationResponse: {
    allowedUpstreamHeaders: patterns({ exact: "x-role" }, { exact: "x-new" }),
    allowedUpstreamHeadersToAppend: patterns({ exact: "x-list" }),
    allowedClientHeaders: patterns({ exact: "x-why" }),
    allowedClientHeadersOnSuccess: patterns({ exact: "x-seen" }),
  },
};
const rolePolicy = policy("AuthorizationPolicy", "roles", {
  action: "DENY",
  rules: [{ when: [{ key: "request.headers[x-role]", values: ["admin"] }] }],
});
const lanes: readonly LaneConfig[] = [
  lane("plain", authorizer()),
  lane("headers", authorizer({ allowedHeaders: someHeaders })),
  lane("without", authorizer({ allowedHeaders: someHeaders, disallowedHeaders: patterns({ exact: "x-role" }) })),
  lane("added", authorizer({}, { authorizationRequest: { headersToAdd: [{ key: "x-added", value: "1" }] } })),
  lane("body", authorizer({ withRequestBody: { maxRequestBytes: 8 } })),
  lane("partial", authorizer({ withRequestBody: { maxRequestBytes: 8, allowPartialMessage: true } })),
  lane("answers", authorizer({}, answers), { objects: [rolePolicy] }),
  lane("answers-anew", authorizer({ clearRouteCache: true }, answers), { objects: [rolePolicy] }),
  lane("open", authorizer({ failureModeAllow: true, failureModeAllowHeaderAdd: true })),
  lane("status", authorizer({ statusOnError: { code: "ServiceUnavailable" } })),
  lane("decoded", authorizer(), { mesh: { pathNormalization: "DECODE_AND_MERGE_SLASHES" } }),
];

const host = "Host: a.test\r\n";
const get = (fields: string, target = "/a"): string => `GET ${target} HTTP/1.1\r\n${host}${fields}\r\n`;
const post = (fields: string, body: string): string => `POST /a HTTP/1.1\r\n${host}${fields}\r\n${body}`;

const requests: readonly string[] = [
  get(""),
  get("", "/a?b=c"),
  get("", "/a/../b"),
  get("", "/a//b?x//y"),
  get("", "/%61dmin"),
  get("", "/a%2f..%2fb"),
  get("", "/a#b"),
  get("", "/a?b#c"),
  get("", "//a"),
  get("", "/\xe9"),
  get("", "http://b.test/a"),
  get("", "/check"),
  get("", "/../check"),
  ...["HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "FOO"].map((method) => `${method} /a HTTP/1.1\r\n${host}\r\n`),
  "GET /a HTTP/1.1\r\nHost: A.TEST:80\r\n\r\n",
  "GET /a HTTP/1.1\r\nHost: a.test.\r\n\r\n",
  ...[
    "Authorization: t",
    "Authorization: t\r\nAuthorization: u",
    "Cookie: a=b",
    "Cookie: a=b\r\nCookie: c=d",
    "X-Role: admin",
    "X-Role: user\r\nX-Role: admin",
    "X-Role:",
    "X-A: \xe9",
    "X-A: \xc3\xa9",
    "X_A: b",
    "x-added: 2",
    "x-envoy-auth-partial-body: false",
    "x-envoy-auth-failure-mode-allowed: true",
    "x-envoy-internal: true",
    "X-Forwarded-For: 1.2.3.4",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: b.test",
    "X-Forwarded-Client-Cert: By=a",
    "X-Request-Id: r",
    "Connection: x-role\r\nX-Role: admin",
    "Connection: authorization\r\nAuthorization: t",
    "Connection: close",
    "Upgrade: websocket\r\nConnection: Upgrade",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nX-Role: admin",
    "TE: trailers",
    "Expect: 100-continue",
    "X-HTTP-Method-Override: DELETE",
    "x-list: a",
    "x-list: a\r\nx-list: b",
    "x-new: forged",
    "x-check: 1",
    "Content-Length: 0",
    "Transfer-Encoding: chunked",
  ].map((fields) => get(`${fields}\r\n`)),
  post("Content-Length: 5\r\n", "hello"),
  post("Content-Length: 8\r\n", "12345678"),
  post("Content-Length: 9\r\n", "123456789"),
  post("Content-Length: 20\r\n", "12345678901234567890"),
  post("Content-Length: 0\r\n", ""),
  post("Content-Length: 5\r\nx-envoy-auth-partial-body: true\r\n", "hello"),
  post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
  post("Transfer-Encoding: chunked\r\n", "4\r\n1234\r\n4\r\n5678\r\n0\r\n\r\n"),
  post("Transfer-Encoding: chunked\r\n", "4\r\n1234\r\n5\r\n56789\r\n0\r\n\r\n"),
  post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
  post("Transfer-Encoding: chunked\r\n", "5;x=y\r\nhello\r\n0\r\nx-role: admin\r\n\r\n"),
  post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"),
  post("Content-Length: 5\r\nContent-Type: application/grpc\r\n", "hello"),
  post("Content-Length: 6\r\n", "\x00\xff\xfe\r\n\x01"),
];

const ok = (fields: string): string => `HTTP/1.1 200 OK\r\n${fields}content-length: 2\r\n\r\nok`;
const refusal = (status: string, fields = "", body = "no"): string =>
  `HTTP/1.1 ${status}\r\n${fields}content-length: ${body.length}\r\n\r\n${body}`;
const replies: readonly string[] = [
  ok("x-role: admin\r\n"),
  ok("x-role: user\r\nx-role: admin\r\n"),
  ok("x-role: admin\r\nx-role: user\r\n"),
  ok("x-role:\r\n"),
  ok("X-ROLE: admin\r\n"),
  ok("x-new: 1\r\n"),
  ok("x-list: c\r\n"),
  ok("x-list: c\r\nx-list: d\r\n"),
  ok("x-seen: 1\r\nx-why: 2\r\nx-other: 3\r\n"),
  ok("x-envoy-original-path: /admin\r\n"),
  ok("host: evil.test\r\n"),
  ok("connection: x-role\r\nx-role: admin\r\n"),
  ok("x-envoy-auth-headers-to-remove: x-role\r\n"),
  ok("x-envoy-auth-headers-to-remove: x-role, x-list\r\n"),
  ok("x-envoy-auth-headers-to-remove: host, :path, content-length\r\n"),
  refusal("201 Created"),
  refusal("204 No Content", "", ""),
  refusal("206 Partial"),
  refusal("302 Found", "location: /login\r\nset-cookie: a=b\r\n"),
  refusal("304 Not Modified", "", ""),
  refusal("400 Bad"),
  refusal("401 Unauthorized", "www-authenticate: Basic\r\nx-why: because\r\nx-other: x\r\n"),
  refusal("403 Forbidden", "x-why: because\r\nx-why: again\r\n"),
  refusal("404 Not Found"),
  refusal("429 Many"),
  refusal("500 Error"),
  refusal("503 Unavailable"),
  refusal("599 X"),
  refusal("600 X"),
  "HTTP/1.1 200 OK\r\n",
  "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok",
  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
  "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
  "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
  "nonsense\r\n\r\n",
  "",
];

export function authorizerSuite(): Suite {
  const asked = lanes.flatMap(({ name }) =>
    requests.map((text): JudgedCase => ({
      title: JSON.stringify(text),
      lane: name,
      send: { protocol: "http1", probes: false, bytes: raw(text), bodiless: text.startsWith("HEAD ") },
    })),
  );
  const answered = lanes.flatMap(({ name }) =>
    replies.flatMap((reply) =>
      ["", "x-role: guest\r\nx-list: a\r\n"].map((fields): JudgedCase => ({
        title: `${JSON.stringify(fields)} answer ${JSON.stringify(reply)}`,
        lane: name,
        send: { protocol: "http1", probes: false, bytes: raw(get(fields)) },
        upstreamAnswer: { bytes: raw(reply), closes: !/length: \d|chunked/.test(reply) },
        comparesAnswer: true,
      })),
    ),
  );
  return { name: "authorizer", least: 1000, lanes, cases: [...asked, ...answered] };
}
