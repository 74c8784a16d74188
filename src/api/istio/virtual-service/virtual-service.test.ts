import assert from "node:assert/strict";
import { test } from "node:test";
import { issuesOf } from "../testing/issues-of.ts";
import { parseVirtualService, virtualServiceKind } from "./virtual-service.ts";

const route = [{ destination: { host: "reviews" } }];

function errorsOfRoute(http: object, spec: object = {}): readonly string[] {
  return issuesOf(virtualServiceKind, { hosts: ["reviews"], http: [http], ...spec }).errors;
}

test("a virtual service gets every default, with upstream's names", () => {
  const spec = {
    hosts: ["reviews"],
    http: [
      {
        name: "canary",
        match: [
          {
            uri: { prefix: "/v2" },
            headers: { "End-User": { exact: "jason" }, "x-any": {}, "@request.auth.claims.Group": { exact: "a" } },
            port: 80,
          },
        ],
        route: [
          { destination: { host: "reviews", subset: "v2", port: { number: 9080 } }, weight: 25 },
          { destination: { host: "reviews" }, weight: 75 },
        ],
        timeout: "1.5s",
        retries: { attempts: 3, perTryTimeout: "2s", retryOn: "5xx,503" },
        mirror: { host: "shadow" },
      },
      { redirect: { authority: "example.com", derivePort: "FROM_REQUEST_PORT" } },
      {
        fault: {
          abort: { httpStatus: 503, percentage: { value: 50 } },
          delay: { fixedDelay: "1m", percentage: { value: 0.1 } },
        },
        route,
      },
    ],
    gateways: ["edge"],
  };
  const parsed = parseVirtualService({ metadata: { name: "x" }, spec }).value?.spec;
  const [first, second, third] = parsed?.http ?? [];
  assert.deepEqual(Object.keys(first?.match[0]?.headers ?? {}), ["end-user", "x-any", "@request.auth.claims.Group"]);
  assert.deepEqual(first?.match[0]?.headers["x-any"], { kind: "present" });
  assert.deepEqual(first?.match[0]?.uri, { kind: "prefix", value: "/v2" });
  assert.deepEqual(
    first?.route.map(({ weight }) => weight),
    [25, 75],
  );
  assert.deepEqual(first?.route[0]?.destination, { host: "reviews", subset: "v2", port: { number: 9080 } });
  assert.equal(first?.timeoutMs, 1500);
  assert.equal(first?.retries?.perTryTimeoutMs, 2000);
  assert.deepEqual(first?.mirrors, [
    { destination: { host: "shadow", subset: undefined, port: undefined }, percentage: 100 },
  ]);
  assert.equal(second?.redirect?.redirectCode, 301);
  assert.deepEqual(second?.redirect?.port, { kind: "derived", derivePort: "FROM_REQUEST_PORT" });
  assert.deepEqual(third?.fault, {
    abort: { error: { kind: "httpStatus", status: 503 }, percentage: 50 },
    delay: { fixedDelayMs: 60_000, percentage: 0.1 },
  });
  assert.deepEqual(parsed?.tcp, []);
});

test("faults of a route are reported at their fields with the expected value", () => {
  const cases: readonly [object, ...string[]][] = [
    [{}, "spec.http[0]: must have a route, a redirect, a directResponse or a delegate"],
    [{ route, redirect: { uri: "/" } }, "spec.http[0].route: cannot be combined with redirect"],
    [{ route: [{}] }, "spec.http[0].route[0].destination: is required"],
    [
      { route: [{ destination: { host: "*" } }] },
      'spec.http[0].route[0].destination.host: must be the name of a service, got "*"',
    ],
    [
      { route: [{ destination: { host: "a", port: { number: 0 } } }] },
      "spec.http[0].route[0].destination.port.number: must be from 1 to 65535, got 0",
    ],
    [{ route: [...route, ...route] }, "spec.http[0].route: must have a destination with a weight above 0"],
    [
      { route: [{ destination: { host: "a" }, weight: -1 }] },
      "spec.http[0].route[0].weight: must be from 0 to 2147483647, got -1",
    ],
    [
      { route, match: [{ uri: { regex: "(?=x)" } }] },
      'spec.http[0].match[0].uri.regex: must be an RE2 expression (https://github.com/google/re2/wiki/Syntax), got "(?=x)": invalid or unsupported Perl syntax: `(?=`',
    ],
    [
      { route, match: [{ uri: { regex: "((a?){1000}){9}" } }] },
      "spec.http[0].match[0].uri.regex: must be an expression of at most 32768 instructions, got about 36018: repeat less by {n,m}",
    ],
    [
      { route, match: Array.from({ length: 5 }, () => ({ uri: { regex: "(a?){1000}".repeat(8) } })) },
      "spec.http[0].match[4].uri.regex: is one expression too many: those of an object together must have at most 131072 instructions; repeat less by {n,m}, or divide the object",
    ],
    [
      { route, match: [{ uri: { prefix: "/", exact: "/" } }] },
      "spec.http[0].match[0].uri: must have one of exact, prefix and regex, got exact and prefix",
    ],
    [
      { route, match: [{ method: { prefix: "" } }] },
      "spec.http[0].match[0].method.prefix: must not be empty; remove the match to match all",
    ],
    [
      { route, match: [{ urii: { exact: "/" } }] },
      "spec.http[0].match[0].urii: is not a known field; did you mean uri?",
    ],
    [{ route, match: ["/"] }, 'spec.http[0].match[0]: must be an object, got "/"'],
    [
      { route, match: [{ headers: { "a b": { exact: "x" } } }] },
      'spec.http[0].match[0].headers.a b: must be the name of a header, got "a b"',
    ],
    [
      { route, match: [{ headers: { "@request.auth.claims.g": { exact: "x" } } }] },
      "spec.http[0].match[0].headers.@request.auth.claims.g: is a claim of a token, which only gateways can match; set gateways, without mesh",
    ],
    [{ route, timeout: "0s" }, 'spec.http[0].timeout: must be at least 1ms, got "0s"'],
    [{ route, timeout: "1.0005s" }, 'spec.http[0].timeout: must be in whole milliseconds, got "1.0005s"'],
    [{ route, timeout: "5" }, 'spec.http[0].timeout: must be a duration such as 10s or 1m30s, got "5"'],
    [
      { route, match: [{ queryParams: { "": { exact: "a" } } }] },
      "spec.http[0].match[0].queryParams.: must be the name of a parameter, got an empty one",
    ],
    [{ route, timeout: "9999999h" }, 'spec.http[0].timeout: must be at most 9223372035000ms, got "9999999h"'],
    [
      { route, retries: { attempts: 5_000_000_000 } },
      "spec.http[0].retries.attempts: must be from 0 to 2147483647, got 5000000000",
    ],
    [
      { route, retries: { attempts: 0, retryOn: "5xx" } },
      "spec.http[0].retries.retryOn: must not be set when attempts is 0, which turns retries off",
    ],
    [{ route, fault: {} }, "spec.http[0].fault: must have a delay or an abort"],
    [
      { route, fault: { abort: { httpStatus: 99, percentage: { value: 1 } } } },
      "spec.http[0].fault.abort.httpStatus: must be from 200 to 599, got 99",
    ],
    [
      { route, fault: { abort: { httpStatus: 503, percentage: { value: 101 } } } },
      "spec.http[0].fault.abort.percentage.value: must be from 0 to 100, got 101",
    ],
    [{ redirect: {} }, "spec.http[0].redirect: must have a uri, prefixRewrite, authority, scheme, port or derivePort"],
    [
      { redirect: { uri: "/", redirectCode: 200 } },
      "spec.http[0].redirect.redirectCode: must be one of 301, 302, 303, 307, 308, got 200",
    ],
    [{ directResponse: { status: 1000 } }, "spec.http[0].directResponse.status: must be from 200 to 599, got 1000"],
    [{ route, rewrite: {} }, "spec.http[0].rewrite: must have a uri, uriRegexRewrite or authority"],
    [
      { route, rewrite: { authority: "a" }, headers: { request: { set: { Host: "b" } } } },
      "spec.http[0].headers.request.set.Host: must not be set, because another field also sets the authority; keep one of the two",
    ],
    [
      { route, headers: { response: { add: { ":status": "1" } } } },
      'spec.http[0].headers.response.add.:status: must not be a pseudo header, got ":status"',
    ],
    [
      { route, headers: { request: { set: { "a b": "1" }, remove: ["x\r\ny"] } } },
      'spec.http[0].headers.request.set.a b: must be the name of a header, got "a b"',
      'spec.http[0].headers.request.remove[0]: must be the name of a header, got "x\r\ny"',
    ],
    [{ route, headers: { response: { remove: ["Connection"] } } }],
    [
      { route, rewrite: { uri: "/a\nb", authority: "a\u0000b" } },
      "spec.http[0].rewrite.uri: must not have control characters",
      "spec.http[0].rewrite.authority: must not have control characters",
    ],
    [{ redirect: { uri: "/a\rb" } }, "spec.http[0].redirect.uri: must not have control characters"],
    [
      { route, rewrite: { uriRegexRewrite: { match: "a", rewrite: "b\n" } } },
      "spec.http[0].rewrite.uriRegexRewrite.rewrite: must not have control characters",
    ],
    [
      { route, headers: { request: { add: { a: "50%" } }, response: { set: { b: "%PROTOCOL:5%" } } } },
      'spec.http[0].headers.request.add.a: must write a percent sign as %%, or end the variable that % begins, as %NAME% or %NAME(argument):length%, got "50%"',
      "spec.http[0].headers.response.set.b: has %PROTOCOL:5%, which not all proxies can substitute: PROTOCOL takes no length. Correct it, or write a percent sign as %%",
    ],
    [
      {
        route,
        headers: { request: { add: { a: "100%% %REQ(:path?b):9% %START_TIME(%s)% %CEL(a == 1)% %RESP(a)%" } } },
      },
    ],
    [{ route, headers: { request: { add: { a: "%GRPC_STATUS%%GRPC_STATUS()%%GRPC_STATUS(SNAKE_STRING)%" } } } }],
    [
      { route, corsPolicy: { allowMethods: ["get"] } },
      'spec.http[0].corsPolicy.allowMethods[0]: must be one of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH, *, got "get"',
    ],
    [{ route, corsPolicy: { maxAge: "1500ms" } }, "spec.http[0].corsPolicy.maxAge: must be in whole seconds"],
    [
      { route, mirror: { host: "a" }, mirrors: [{ destination: { host: "b" } }] },
      "spec.http[0].mirrors: cannot be combined with mirror",
    ],
    [{ delegate: { name: "d" }, route }, "spec.http[0].route: cannot be combined with delegate"],
  ];
  for (const [http, ...expected] of cases) assert.deepEqual(errorsOfRoute(http), expected, JSON.stringify(http));
});

test("faults outside a route are reported at their fields", () => {
  const http = [{ route }];
  const cases: readonly [object, ...string[]][] = [
    [{ hosts: ["a"] }, "spec: must have at least one route in http, tls or tcp"],
    [{ hosts: ["*"], http }, 'spec.hosts[0]: must not be "*" for the mesh; name hosts, or set gateways, without mesh'],
    [
      { hosts: ["a_b.example"], http },
      'spec.hosts[0]: must be a DNS name, which may begin with a wildcard, got "a_b.example" (its label "a_b" is not valid)',
    ],
    [
      { hosts: ["*.example.com", "a.example.com"], http },
      'spec.hosts[1]: overlaps with "*.example.com", got "a.example.com"; remove one',
    ],
    [
      { gateways: ["edge"], http },
      "spec.gateways: must not be set without hosts: a delegate has http routes only; set hosts if this is not a delegate",
    ],
    [
      { http: [{ delegate: { name: "d" } }] },
      "spec.http[0].delegate: must not be set in a VirtualService without hosts, which is a delegate itself",
    ],
    [
      { hosts: ["a"], gateways: ["a/b/c"], http },
      'spec.gateways[0]: must be a gateway\'s name, or namespace/name, got "a/b/c"',
    ],
    [{ hosts: ["a"], exportTo: [".", "shop"], http }, 'spec.exportTo[1]: appears twice, got "shop"; remove one'],
    [{ hosts: ["a"], exportTo: ["*", "b"], http }, 'spec.exportTo[0]: must be the only entry, got "*" with others'],
    [{ hosts: ["a"], exportTo: ["~"], http }, 'spec.exportTo[0]: must be ".", "*" or the name of a namespace, got "~"'],
    [{ hosts: ["a.com"], tls: [{ route }] }, "spec.tls[0].match: must have at least one match with sniHosts"],
    [
      { hosts: ["a.com"], tls: [{ match: [{ sniHosts: ["b.com"] }], route }] },
      'spec.tls[0].match[0].sniHosts[0]: must be within one of the hosts (a.com), got "b.com"',
    ],
    [
      { hosts: ["a"], tcp: [{ match: [{ destinationSubnets: ["10.0.0.0/33"] }], route }] },
      'spec.tcp[0].match[0].destinationSubnets[0]: must be an IP address or a CIDR such as 10.1.0.0/16, got "10.0.0.0/33"',
    ],
    [{ hosts: ["a"], tcp: [{}] }, "spec.tcp[0].route: must have at least one destination"],
    [
      { hosts: ["a"], tcp: [{ route: Array.from({ length: 3 }, () => ({ ...route[0], weight: 2_147_483_647 })) }] },
      "spec.tcp[0].route: must have weights that sum up to at most 4294967295, got 6442450941; proxies refuse more",
    ],
    [{ hosts: ["a"], http, gateway: ["x"] }, "spec.gateway: is not a known field; did you mean gateways?"],
  ];
  for (const [spec, ...expected] of cases)
    assert.deepEqual(issuesOf(virtualServiceKind, spec).errors, expected, JSON.stringify(spec));
});

test("accepted but unusual settings get a warning", () => {
  const two = (first: number, second: number): object[] => [
    { destination: { host: "a" }, weight: first },
    { destination: { host: "b" }, weight: second },
  ];
  const cases: readonly [object[], ...string[]][] = [
    [[{ route: two(1, 1) }], "spec.http[0].route: has weights that sum up to 2: each counts relative to that sum"],
    [[{ route: two(90, 10) }]],
    [
      [{ route }, { route }],
      "spec.http[1]: is never used: spec.http[0] has no match and gets all requests".replace("spec.http[0]", "http[0]"),
    ],
    [
      [
        { match: [{ uri: { prefix: "/a" } }], route },
        { match: [{ uri: { prefix: "/ab" }, method: { exact: "GET" } }], route },
      ],
      'spec.http[1].match[0]: is never used: http[0].match[0] matches the prefix "/a" before it; put the longer prefix first',
    ],
    [
      [
        { match: [{ uri: { prefix: "/a" }, method: { exact: "GET" } }], route },
        { match: [{ uri: { prefix: "/ab" } }], route },
      ],
    ],
    [
      [
        { match: [{ uri: { exact: "/a" } }], route },
        { match: [{ name: "again", uri: { exact: "/a" } }], route },
      ],
      "spec.http[1].match[0]: is never used: http[0] has the same match before it",
      "spec.http[1]: is never used: earlier routes already have all of its matches",
    ],
    [
      [
        { match: [{ headers: { a: { exact: "1" }, b: { exact: "2" } } }], route },
        { match: [{ headers: { b: { exact: "2" }, a: { exact: "1" } } }], route },
      ],
      "spec.http[1].match[0]: is never used: http[0] has the same match before it",
      "spec.http[1]: is never used: earlier routes already have all of its matches",
    ],
    [
      [
        { match: [{ uri: { prefix: "/a" }, withoutHeaders: { a: {}, b: { exact: "2" } } }], route },
        { match: [{ uri: { prefix: "/ab" }, withoutHeaders: { b: { exact: "2" }, a: {} } }], route },
      ],
      'spec.http[1].match[0]: is never used: http[0].match[0] matches the prefix "/a" before it; put the longer prefix first',
    ],
    [
      [{ route, mirror: { host: "a" }, mirrorPercent: 5 }],
      "spec.http[0].mirrorPercent: is deprecated; use mirrorPercentage",
    ],
    [[{ route, rewrite: { uriRegexRewrite: { match: "^/(a)(b)", rewrite: String.raw`/\2\1\\\0` } } }]],
    [
      [{ route, rewrite: { uriRegexRewrite: { match: "^/(a)", rewrite: String.raw`/\1\5` } } }],
      String.raw`spec.http[0].rewrite.uriRegexRewrite.rewrite: has \5, but the expression has 1 group: no proxy changes a path. Add parentheses to the expression, or use a lower number`,
    ],
    [
      [{ route, rewrite: { uriRegexRewrite: { match: "^/a", rewrite: String.raw`/b\d` } } }],
      String.raw`spec.http[0].rewrite.uriRegexRewrite.rewrite: ends before \d: write a backslash as \\, and a group as \0 to \9`,
    ],
  ];
  for (const [http, ...expected] of cases)
    assert.deepEqual(
      issuesOf(virtualServiceKind, { hosts: ["a"], http }),
      { errors: [], warnings: expected },
      JSON.stringify(http),
    );
});

test("hosts and matches that multiply to more routes than a proxy can hold are refused", () => {
  const hosts = Array.from({ length: 400 }, (_, index) => `h${index}.example.com`);
  const http = Array.from({ length: 125 }, (_, index) => ({
    match: [{ uri: { exact: `/a${index}` } }, { uri: { exact: `/b${index}` } }],
    route,
  }));
  assert.deepEqual(issuesOf(virtualServiceKind, { hosts, http }).errors, []);
  assert.deepEqual(issuesOf(virtualServiceKind, { hosts: [...hosts, "one.example.com"], http }).errors, [
    "spec.hosts: 401 hosts with 250 HTTP matches each are 100250 routes of every proxy, and at most 100000 are allowed; use a wildcard host, or fewer matches",
  ]);
});

test("routes whose content multiplies with their matches to more than a proxy can hold are refused", () => {
  const match = Array.from({ length: 1_000 }, (_, index) => ({ uri: { prefix: `/${index}` } }));
  const route = (count: number): object[] =>
    Array.from({ length: count }, (_, index) => ({ destination: { host: "web", subset: `s${index}` }, weight: 1 }));
  const spec = (count: number): object => ({
    hosts: ["a.example", "b.example"],
    http: [{ match, route: route(count) }],
  });
  assert.deepEqual(issuesOf(virtualServiceKind, spec(500)).errors, []);
  assert.deepEqual(issuesOf(virtualServiceKind, spec(700)).errors, [
    "spec: the routes without their matches, once for each match and host, are 80992000 characters of every proxy, and at most 67108864 are allowed; use fewer matches, hosts, destinations, headers or origins",
  ]);
  const gateways = Array.from({ length: 400 }, (_, index) => `gateway-${index}`);
  const exportTo = Array.from({ length: 251 }, (_, index) => `team-${index}`);
  assert.deepEqual(
    issuesOf(virtualServiceKind, { hosts: ["a.example"], gateways, exportTo, http: [{ route: route(1) }] }).errors,
    [
      "spec.exportTo: 400 gateways with 251 namespaces each are 100400 pairs, and at most 100000 are allowed; export to all namespaces, or name fewer gateways",
    ],
  );
});
