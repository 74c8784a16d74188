import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCanary, type Canary, type ObjectReference } from "../../../api/serin/index.ts";
import type { Step } from "../../decide/index.ts";
import { planCanary } from "./canary-plan.ts";
import type { CanaryWorld } from "./canary-world.ts";

const path = { path: { type: "Exact", value: "/productpage" } };
const original = [
  { matches: [{ path: { type: "PathPrefix", value: "/other" } }], backendRefs: [{ name: "other", port: 80 }] },
  { matches: [path], backendRefs: [{ name: "productpage", port: 9080 }], timeouts: { request: "3s" } },
];
const route: ObjectReference = {
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  plural: "httproutes",
  name: "route",
  namespace: "stable",
};
const subjects = [
  { canary: { service: "productpage", namespace: "next" }, stable: { service: "productpage", namespace: "stable" } },
];
const target = {
  httpRoute: {
    name: "route",
    rule: 1,
    stable: { name: "productpage", port: 9080 },
    canary: { name: "productpage", namespace: "next", port: 9080 },
  },
};

function canary(steps: readonly object[], more: object = {}): Canary {
  const parsed = parseCanary({ metadata: { name: "c", namespace: "stable" }, spec: { target, steps, ...more } });
  assert.deepEqual(parsed.errors, []);
  assert.ok(parsed.value);
  return parsed.value;
}

function world(list: readonly object[] = original): CanaryWorld {
  return {
    routes: [{ object: route, pointer: "/spec/rules", list: list as Record<string, unknown>[] }],
    subjects,
    missingGrants: [],
  };
}

function plan(steps: readonly object[], more: object = {}, given = world()): Step[] {
  return planCanary(canary(steps, more), given);
}

function rulesOf(steps: readonly object[], at: number, more: object = {}): unknown {
  const write = plan(steps, more)[at]?.writes[0];
  assert.equal(write?.type, "field");
  return write.value;
}

const toCanary = { name: "productpage", namespace: "next", port: 9080 };

test("a header step adds a rule with the target's own paths, because a header match alone would have a lower precedence", () => {
  assert.deepEqual(rulesOf([{ match: { headers: [{ name: "traffic", value: "test" }] } }], 0), [
    original[0],
    {
      ...original[1],
      matches: [{ ...path, headers: [{ type: "Exact", name: "traffic", value: "test" }] }],
      backendRefs: [{ ...toCanary, weight: 1 }],
    },
    original[1],
  ]);
});

test("a weight step splits only the target rule and keeps its other fields", () => {
  assert.deepEqual(rulesOf([{ weight: 10 }], 0), [
    original[0],
    {
      ...original[1],
      backendRefs: [
        { name: "productpage", port: 9080, weight: 90 },
        { ...toCanary, weight: 10 },
      ],
    },
  ]);
  assert.deepEqual(
    rulesOf([{ weight: 0 }, { weight: 10 }], 0),
    original,
    "without weight the rule is as its user wrote it",
  );
});

test("other backends of the rule keep their share", () => {
  const three = [
    {
      backendRefs: [
        { name: "productpage", port: 9080, weight: 3 },
        { name: "static", port: 80, weight: 1 },
      ],
    },
  ];
  const target2 = { httpRoute: { ...target.httpRoute, rule: 0 } };
  const write = planCanary(canary([{ weight: 20 }], { target: target2 }), world(three))[0]?.writes[0];
  assert.deepEqual(write?.type === "field" && write.value, [
    {
      backendRefs: [
        { name: "productpage", port: 9080, weight: 240 },
        { ...toCanary, weight: 60 },
        { name: "static", port: 80, weight: 100 },
      ],
    },
  ]);
});

test("cookies, prefixes and query parameters become HTTPRoute matches, within the rule's own paths", () => {
  const prefix = [
    { matches: [{ path: { type: "PathPrefix", value: "/shop" } }], backendRefs: [{ name: "productpage", port: 9080 }] },
  ];
  const step = {
    match: {
      headers: [{ name: "x-user", type: "Prefix", value: "a.b" }],
      cookies: [{ name: "beta", value: "yes" }],
      queryParams: [{ name: "v", type: "Regex", value: "[0-9]+" }],
      paths: [{ value: "/shop/cart" }, { value: "/elsewhere" }, { type: "Exact", value: "/shop" }],
    },
  };
  const write = planCanary(
    canary([step], { target: { httpRoute: { ...target.httpRoute, rule: 0 } } }),
    world(prefix),
  )[0]?.writes[0];
  const rules = (write?.type === "field" ? write.value : []) as {
    matches: { path: object; headers: object[]; queryParams: object[] }[];
  }[];
  assert.deepEqual(
    rules[0]?.matches.map((match) => match.path),
    [
      { type: "PathPrefix", value: "/shop/cart" },
      { type: "Exact", value: "/shop" },
    ],
  );
  assert.deepEqual(rules[0]?.matches[0]?.headers[0], {
    type: "RegularExpression",
    name: "x-user",
    value: String.raw`a\.b.*`,
  });
  assert.deepEqual(rules[0]?.matches[0]?.queryParams, [{ type: "RegularExpression", name: "v", value: "[0-9]+" }]);
  const { value: cookie = "" } = (rules[0]?.matches[0]?.headers[1] ?? {}) as { value?: string };
  for (const [text, expected] of [
    ["beta=yes", true],
    ["a=b; beta=yes; c=d", true],
    ["beta=yes2", false],
    ["alphabeta=yes", false],
  ] as const) {
    assert.equal(new RegExp(`^${cookie}$`).test(text), expected, text);
  }
});

test("a path that the rule does not match is an error that names the rule", () => {
  assert.throws(
    () => plan([{ match: { paths: [{ value: "/elsewhere" }] } }]),
    /HTTPRoute stable\/route rule 1: none of the paths of the step's match is among those that it matches/,
  );
});

test("a mirror belongs to its step, and joins the filters of the rule", () => {
  const steps = [{ mirror: { percent: 25 } }, { weight: 50 }];
  assert.deepEqual(((rulesOf(steps, 0) as { filters?: object[] }[])[1] ?? {}).filters, [
    { type: "RequestMirror", requestMirror: { backendRef: toCanary, percent: 25 } },
  ]);
  assert.equal(((rulesOf(steps, 1) as { filters?: object[] }[])[1] ?? {}).filters, undefined);
});

test("requests matched by header stay with the canary while weights rise, and the share becomes a lower bound", () => {
  const [first, second] = plan([{ match: { headers: [{ name: "a", value: "b" }] } }, { weight: 50 }]);
  const write = second?.writes[0];
  assert.equal(write?.type === "field" && (write.value as unknown[]).length, 3);
  const share = second?.checks.find(({ spec }) => spec.type === "request-share");
  assert.deepEqual(share?.subject, { type: "backends", ...subjects[0], expectedShare: 50, atLeast: true });
  assert.equal(
    first?.checks.some(({ spec }) => spec.type === "request-share"),
    false,
    "a header has no share",
  );
});

test("with session affinity the canary sets a cookie of this run, which selects it until the weight is 100", () => {
  const steps = [{ weight: 10 }, { weight: 100 }];
  const rules = rulesOf(steps, 0, { sessionAffinity: { cookieName: "stay", maxAgeSeconds: 60 } }) as {
    matches: { headers?: { value: string }[] }[];
    backendRefs: { filters?: { responseHeaderModifier: { add: { value: string }[] } }[] }[];
  }[];
  const cookie = rules[2]?.backendRefs[1]?.filters?.[0]?.responseHeaderModifier.add[0]?.value ?? "";
  assert.match(cookie, /^stay=[0-9a-f]{12}; Path=\/; Max-Age=60; HttpOnly$/);
  assert.ok(
    new RegExp(`^${rules[1]?.matches[0]?.headers?.[0]?.value ?? ""}$`).test(cookie.slice(0, cookie.indexOf(";"))),
    "the rule takes who sends it back",
  );
  assert.equal((rulesOf(steps, 1, { sessionAffinity: {} }) as unknown[]).length, 2);
});

test("a step that pauses until approved is approved by its id", () => {
  const steps = [
    { weight: 10, pause: { untilApproved: true } },
    { weight: 100, pause: { durationSeconds: 5 } },
  ];
  assert.deepEqual(
    plan(steps).map(({ pause }) => pause),
    [{ approved: false }, { durationMs: 5000 }],
  );
  assert.deepEqual(
    plan(steps, { approvals: [{ step: "step-1", by: "ann", why: "looks good", at: "2026-01-31T12:00:00Z" }] })[0]
      ?.pause,
    { approved: true },
  );
});

test("a missing grant for the one Service is created before a route needs it", () => {
  const [grant, first] = plan(
    [{ weight: 10 }],
    {},
    {
      ...world(),
      missingGrants: [{ kind: "HTTPRoute", fromNamespace: "stable", toNamespace: "next", service: "productpage" }],
    },
  );
  const write = grant?.writes[0];
  assert.deepEqual(write?.type === "create" && write.body["spec"], {
    from: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: "stable" }],
    to: [{ group: "", kind: "Service", name: "productpage" }],
  });
  assert.deepEqual(
    [grant?.essential, grant?.ordinal, first?.id, first?.weight, first?.namespaces],
    [true, 1, "step-1", 10, ["stable", "next"]],
  );
});

test("a grant that an earlier Canary of the name has left goes on granting what it grants", () => {
  const other = { group: "", kind: "Service", name: "other" };
  const own = { group: "", kind: "Service", name: "productpage" };
  const need = { kind: "HTTPRoute", fromNamespace: "stable", toNamespace: "next", service: "productpage" };
  const writesWith = (granted: readonly object[]): unknown => {
    const missingGrants = [{ ...need, granted }] as CanaryWorld["missingGrants"];
    const [grant] = plan([{ weight: 10 }], {}, { ...world(), missingGrants });
    return grant?.writes.map((write) => (write.type === "field" ? [write.pointer, write.value] : write.type));
  };
  assert.deepEqual(writesWith([other]), ["create", ["/spec/to", [other, own]]]);
  assert.deepEqual(writesWith([other, own]), ["create", ["/spec/to", [other, own]]]);
  assert.deepEqual(writesWith([{ group: "", kind: "Service" }]), [
    "create",
    ["/spec/to", [{ group: "", kind: "Service" }]],
  ]);
});

test("iterations set how many looks of each check must pass, at that interval", () => {
  const [step] = plan([
    { match: { headers: [{ name: "a", value: "b" }] }, iterations: { count: 5, intervalSeconds: 10 } },
  ]);
  assert.deepEqual(
    step?.checks.map(({ spec }) => [spec.count, spec.intervalSeconds]),
    [
      [5, 10],
      [5, 10],
    ],
  );
});

test("the Services of the other namespace get the share of each Service to which a route leads", () => {
  const rules = [
    {
      backendRefs: [
        { name: "a", namespace: "shop", port: 80, weight: 50 },
        { name: "b", namespace: "shop", port: 80, weight: 50 },
      ],
    },
    { backendRefs: [{ name: "c", namespace: "other", port: 80 }] },
  ];
  const spec = {
    target: { namespaces: { stable: "shop", canary: "shop-2", routes: [{ kind: "HTTPRoute", name: "route" }] } },
  };
  const write = planCanary(canary([{ weight: 10 }], spec), world(rules))[0]?.writes[0];
  assert.deepEqual(write?.type === "field" && write.value, [
    {
      backendRefs: [
        { name: "a", namespace: "shop", port: 80, weight: 45 },
        { name: "a", namespace: "shop-2", port: 80, weight: 5 },
        { name: "b", namespace: "shop", port: 80, weight: 45 },
        { name: "b", namespace: "shop-2", port: 80, weight: 5 },
      ],
    },
    rules[1],
  ]);
});

test("an option that a target does not support is refused at its field", () => {
  const errors = (spec: object): string[] =>
    parseCanary({ metadata: { name: "c" }, spec }).errors.map((issue) => issue.path);
  const grpc = { grpcRoute: target.httpRoute };
  assert.deepEqual(errors({ target: grpc, steps: [{ match: { paths: [{ value: "/a" }] } }], sessionAffinity: {} }), [
    "spec.sessionAffinity",
    "spec.steps[0].match.paths",
  ]);
  const tcp = { virtualService: { name: "v", protocol: "tcp", stable: { host: "a" }, canary: { host: "b" } } };
  assert.deepEqual(errors({ target: tcp, steps: [{ match: { headers: [{ name: "a", value: "b" }] }, mirror: {} }] }), [
    "spec.steps[0].match.headers",
    "spec.steps[0].mirror",
  ]);
  const rate = { type: "request-success-rate" };
  const checks = [
    rate,
    { ...rate, name: "shown", dryRun: true },
    { type: "tcp-connect-failures" },
    { type: "pod-health" },
  ];
  assert.deepEqual(
    errors({ target: tcp, steps: [{ weight: 1, checks: [{ type: "request-duration" }] }], checks }),
    ["spec.checks[0].type", "spec.steps[0].checks[0].type"],
    "no proxy counts requests of connections",
  );
  assert.deepEqual(
    errors({
      target: { httpRoute: { name: "r" } },
      steps: [{}, { weight: 1, match: { headers: [] } }],
      colour: "red",
    }).toSorted(),
    [
      "spec.colour",
      "spec.steps[0]",
      "spec.steps[1].match",
      "spec.target.httpRoute.canary",
      "spec.target.httpRoute.stable",
    ],
  );
});

test("a step that moves requests needs a ready pod of the canary, and one that copies them does not", () => {
  const labels = { app: "productpage" };
  const known = {
    ...world(),
    subjects: subjects.map(({ canary: to, stable }) => ({ canary: { ...to, podLabels: labels }, stable })),
  };
  const needs = [{ type: "versionServes", namespace: "next", service: "productpage", labels }];
  const match = { headers: [{ name: "traffic", value: "test" }] };
  const steps = [{ mirror: { percent: 10 } }, { match }, { weight: 10 }];
  assert.deepEqual(
    plan(steps, {}, known).map((step) => step.needs),
    [undefined, needs, needs],
  );
  assert.deepEqual(
    plan([{ weight: 10 }]).map((step) => step.needs),
    [undefined],
    "the pods behind a Service without a selector are unknown",
  );
});

test("between two Services, the ports that no step moves keep their own numbers", () => {
  const parsed = parseCanary({
    metadata: { name: "c", namespace: "shop" },
    spec: { target: { services: { stable: "a", canary: "b", port: 80 } }, steps: [{ weight: 100 }] },
  });
  assert.ok(parsed.value);
  const servicePorts = [
    { name: "http", port: 80 },
    { name: "http-admin", port: 81 },
    { name: "tcp-db", port: 9000 },
  ];
  const [made, moved] = planCanary(parsed.value, { routes: [], subjects: [], missingGrants: [], servicePorts });
  const [creation] = made?.writes ?? [];
  assert.ok(creation?.type === "create");
  const host = "a.shop.svc.cluster.local";
  const others = [{ name: "other-ports", route: [{ destination: { host } }] }];
  assert.deepEqual(creation.body["spec"], {
    hosts: [host],
    http: [
      { name: "canary", match: [{ port: 80 }], route: [{ destination: { host, port: { number: 80 } } }] },
      ...others,
    ],
    tcp: [{ match: [{ port: 9000 }], route: [{ destination: { host, port: { number: 9000 } } }] }],
  });
  assert.deepEqual(
    moved?.writes.map((write) => write.type === "field" && write.pointer),
    ["/spec/http"],
  );
});
