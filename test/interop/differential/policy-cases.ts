// Hosts, methods and clients' addresses in every spelling, with policies about them, and policies about requests that
// an earlier filter has changed.
import type { JsonObject } from "@bufbuild/protobuf";
import { policy, type LaneConfig } from "./configuration.ts";
import { headers } from "./http2-client.ts";
import { http1Request, type JudgedCase, type Suite } from "./judged-case.ts";

type Action = "ALLOW" | "DENY";

const actions: readonly Action[] = ["ALLOW", "DENY"];

function lanesOf(
  kind: string,
  rules: Readonly<Record<string, object>>,
  more: Partial<LaneConfig> = {},
): readonly LaneConfig[] {
  return Object.entries(rules).flatMap(([name, rule]) =>
    actions.map((action) => ({
      name: `${kind}-${action}-${name}`.toLowerCase(),
      direction: "inbound" as const,
      objects: [policy("AuthorizationPolicy", kind, { action, rules: [rule] })],
      ...more,
    })),
  );
}

const toHosts = (operation: object): object => ({ to: [{ operation }] });
const hostLanes = lanesOf("hosts", {
  exact: toHosts({ hosts: ["a.test"] }),
  port: toHosts({ hosts: ["a.test:80"] }),
  suffix: toHosts({ hosts: ["*.test"] }),
  prefix: toHosts({ hosts: ["a.*"] }),
  any: toHosts({ hosts: ["*"] }),
  not: toHosts({ notHosts: ["a.test"] }),
  "not-suffix": toHosts({ notHosts: ["*.test"] }),
  "by-header": { when: [{ key: "request.headers[host]", values: ["a.test"] }] },
  "by-authority": { when: [{ key: "request.headers[:authority]", values: ["a.test"] }] },
  "not-by-header": { when: [{ key: "request.headers[host]", notValues: ["a.test"] }] },
});
const hosts = [
  "a.test",
  "A.TEST",
  "a.Test",
  "a.test:80",
  "A.TEST:80",
  "a.test:080",
  "a.test:8080",
  "a.test:",
  "a.test.",
  "a.test.:80",
  "b.test",
  "b.test:80",
  "a.test.evil.test",
  "xa.test",
  ".test",
  "test",
  "a.",
  "[::1]",
  "[::1]:80",
  "127.0.0.1",
  "127.0.0.1:80",
  "a.test,b.test",
  "a.test%00",
  "a%2etest",
  "*",
  "*.test",
];
const hostRequests = [
  ...hosts.map((host) => `GET /a HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
  ...hosts.map((host) => `GET http://${host}/a HTTP/1.1\r\nHost: a.test\r\n\r\n`),
  ...["a.test", "A.TEST:80", "b.test"].map((host) => `GET http://a.test/a HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
  "GET /a HTTP/1.1\r\nHost: b.test\r\nX-Forwarded-Host: a.test\r\n\r\n",
  "GET /a HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Host: b.test\r\n\r\n",
  "GET /a HTTP/1.1\r\nHost: b.test\r\nX-Host: a.test\r\nForwarded: host=a.test\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
  "CONNECT a.test:80 HTTP/1.1\r\nHost: b.test\r\n\r\n",
  "CONNECT b.test:80 HTTP/1.1\r\nHost: a.test\r\n\r\n",
];
/** The authority and the field `host` of HTTP/2 requests. */
const authorities: readonly (readonly [authority: string | undefined, host: string | undefined])[] = [
  ...hosts.map((host) => [host, undefined] as const),
  ...hosts.slice(0, 12).map((host) => [undefined, host] as const),
  ["a.test", "b.test"],
  ["b.test", "a.test"],
  ["a.test", "a.test"],
  ["a.test", "a.test:80"],
  ["A.TEST", "a.test"],
  ["", "a.test"],
  ["a.test", ""],
];

const methodLanes = lanesOf("methods", {
  get: toHosts({ methods: ["GET"] }),
  delete: toHosts({ methods: ["DELETE"] }),
  any: toHosts({ methods: ["*"] }),
  prefix: toHosts({ methods: ["P*"] }),
  "not-get": toHosts({ notMethods: ["GET"] }),
  "not-delete": toHosts({ notMethods: ["DELETE"] }),
  "by-header": { when: [{ key: "request.headers[:method]", values: ["DELETE"] }] },
});
const methods = [
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "TRACE",
  "CONNECT",
  "get",
  "delete",
  "Delete",
];
const overrides = [
  "",
  "X-HTTP-Method-Override: DELETE\r\n",
  "X-HTTP-Method: DELETE\r\n",
  "X-Method-Override: GET\r\n",
  ":method: DELETE\r\n",
];

const fromBlocks = (source: object): object => ({ from: [{ source }] });
const addressRules = {
  remote: fromBlocks({ remoteIpBlocks: ["203.0.113.0/24"] }),
  "not-remote": fromBlocks({ notRemoteIpBlocks: ["203.0.113.0/24"] }),
  "remote-six": fromBlocks({ remoteIpBlocks: ["2001:db8::/32"] }),
  "remote-all": fromBlocks({ remoteIpBlocks: ["0.0.0.0/0"] }),
  direct: fromBlocks({ ipBlocks: ["10.7.0.0/16"] }),
  "not-direct": fromBlocks({ notIpBlocks: ["10.7.0.0/16"] }),
  condition: { when: [{ key: "remote.ip", values: ["203.0.113.1"] }] },
};
const addressLanes = [
  ...lanesOf("remote", addressRules),
  ...[0, 1, 2].flatMap((numTrustedProxies) =>
    lanesOf(`remote-edge-${numTrustedProxies}`, addressRules, {
      direction: "gateway",
      mesh: { gatewayTopology: { numTrustedProxies, forwardClientCertDetails: "UNDEFINED" } as never },
    }),
  ),
];
const forwardedFor = [
  "",
  "203.0.113.1",
  "203.0.113.1, 198.51.100.1",
  "198.51.100.1, 203.0.113.1",
  "198.51.100.1,203.0.113.1,192.0.2.1",
  "203.0.113.1,",
  ",203.0.113.1",
  "203.0.113.1,,",
  " 203.0.113.1 ",
  "203.0.113.1:80",
  "203.0.113.01",
  "203.0.113",
  "203.0.28929",
  "0xcb.0.113.1",
  "3405803777",
  "::ffff:203.0.113.1",
  "[::ffff:203.0.113.1]",
  "2001:db8::1",
  "[2001:db8::1]",
  "[2001:db8::1]:80",
  "2001:DB8::1",
  "2001:db8::1%eth0",
  "unknown",
  '"203.0.113.1"',
  "203.0.113.1;x",
  "203.0.113.1 198.51.100.1",
  "\xe9",
  "203.0.113.1\r\nX-Forwarded-For: 198.51.100.1",
  "198.51.100.1\r\nX-Forwarded-For: 203.0.113.1",
  "203.0.113.1\r\nX-Forwarded-For:",
  "\r\nX-Forwarded-For: 203.0.113.1",
  "203.0.113.1\r\nX-Real-Ip: 198.51.100.1",
  "198.51.100.1\r\nForwarded: for=203.0.113.1",
  "203.0.113.1\r\nConnection: x-forwarded-for",
  "203.0.113.1\r\nX_Forwarded_For: 198.51.100.1",
];
const peers = [undefined, "10.7.0.1", "203.0.113.1"];

/** A script that changes the request as the header `x-edit` says. It does not choose the route anew. */
const editor: JsonObject = {
  name: "editor",
  typedConfig: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
    clearRouteCache: false,
    defaultSourceCode: {
      inlineString: `
        function envoy_on_request(handle)
          local edit = handle:headers():get("x-edit")
          if edit == nil then return end
          local name, value = edit:match("^([^=]+)=(.*)$")
          handle:headers():replace(name, value)
        end`,
    },
  },
};
const editedLanes = lanesOf(
  "edited",
  {
    path: toHosts({ paths: ["/admin*"] }),
    host: toHosts({ hosts: ["admin.test"] }),
    method: toHosts({ methods: ["DELETE"] }),
    role: { when: [{ key: "request.headers[x-role]", values: ["admin"] }] },
    remote: fromBlocks({ remoteIpBlocks: ["203.0.113.0/24"] }),
  },
  { firstFilters: [editor] },
);
const edits = [
  ":path=/admin",
  ":path=/admin?x",
  ":path=/x/../admin",
  ":path=//admin",
  ":path=/%61dmin",
  ":path=/other",
  ":path=admin",
  ":authority=admin.test",
  ":authority=ADMIN.TEST",
  "host=admin.test",
  ":method=DELETE",
  ":method=HEAD",
  "x-role=admin",
  "x-role=user",
  "x-forwarded-for=203.0.113.9",
];

const named = (match: object): object => ({ when: [{ key: "request.headers[x-user]", ...match }] });
const letterLanes: readonly LaneConfig[] = [
  ...lanesOf("letters", {
    exact: named({ values: ["jürgen"] }),
    prefix: named({ values: ["jü*"] }),
    suffix: named({ values: ["*ürgen"] }),
    not: named({ notValues: ["jürgen"] }),
  }),
  ...["jürgen", "j.rgen", "j[üu]rgen", "j..rgen"].map((regex, index): LaneConfig => ({
    name: `letters-regex-${index}`,
    direction: "inbound",
    routes: [
      {
        match: { prefix: "/", headers: [{ name: "x-user", stringMatch: { safeRegex: { regex } } }] },
        directResponse: { status: 418 },
      },
    ],
  })),
];
const users = [
  "",
  "juergen",
  "j\xc3\xbcrgen",
  "j\xfcrgen",
  "J\xc3\x9cRGEN",
  "j\xc3\x9crgen",
  "ju\xcc\x88rgen",
  "j\xc3rgen",
];

const names = (lanes: readonly LaneConfig[]): readonly string[] => lanes.map(({ name }) => name);

export function policySuite(): Suite {
  const byHost = names(hostLanes).flatMap((lane) => [
    ...hostRequests.map((text) => http1Request(lane, text)),
    ...authorities.map(([authority, host]): JudgedCase => ({
      title: `:authority ${authority} host ${host}`,
      lane,
      send: {
        protocol: "http2",
        frames: headers(1, [
          [":method", "GET"],
          [":scheme", "http"],
          [":path", "/a"],
          ...(authority === undefined ? [] : [[":authority", authority] as const]),
          ...(host === undefined ? [] : [["host", host] as const]),
        ]),
      },
    })),
  ]);
  const byMethod = names(methodLanes).flatMap((lane) =>
    methods.flatMap((method) =>
      overrides.map((field) => http1Request(lane, `${method} /a HTTP/1.1\r\nHost: a.test\r\n${field}\r\n`)),
    ),
  );
  const byAddress = names(addressLanes).flatMap((lane) =>
    peers.flatMap((from) =>
      forwardedFor.map((value) =>
        http1Request(
          lane,
          `GET /a HTTP/1.1\r\nHost: a.test\r\n${value === "" ? "" : `X-Forwarded-For: ${value}\r\n`}\r\n`,
          from,
        ),
      ),
    ),
  );
  const byEdit = names(editedLanes).flatMap((lane) =>
    edits.map((edit) =>
      http1Request(
        lane,
        `GET /other HTTP/1.1\r\nHost: a.test\r\nx-edit: ${edit}\r\nx-role: guest\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n`,
      ),
    ),
  );
  const byLetter = names(letterLanes).flatMap((lane) =>
    users.map((user) => http1Request(lane, `GET /a HTTP/1.1\r\nHost: a.test\r\nx-user: ${user}\r\n\r\n`)),
  );
  return {
    name: "policies",
    least: 2000,
    lanes: [...hostLanes, ...methodLanes, ...addressLanes, ...editedLanes, ...letterLanes],
    cases: [...byHost, ...byMethod, ...byAddress, ...byEdit, ...byLetter],
  };
}
