import assert from "node:assert/strict";
import { test } from "node:test";
import { decideCors, type CorsPolicy } from "./cors.ts";
import type { RequestView } from "./request-view.ts";

const policy: CorsPolicy = {
  origins: [(origin) => origin === "https://a.example"],
  allowMethods: "*",
  allowHeaders: "*",
  exposeHeaders: "x-c",
  maxAge: "",
  allowCredentials: true,
  forwardsOthers: false,
};
const preflight = {
  origin: "https://a.example",
  "access-control-request-method": "PUT",
  "access-control-request-headers": "x-a, x-b",
};

function answer(changes: Partial<CorsPolicy>, fields: Readonly<Record<string, string>> = preflight): unknown {
  const request = { method: "OPTIONS", head: { get: (name: string) => fields[name] } } as unknown as RequestView;
  const decision = decideCors({ ...policy, ...changes }, request);
  return decision?.kind === "answer" ? Object.fromEntries(decision.fields) : undefined;
}

test("with credentials, a wildcard lists the methods and headers that the browser requests, because browsers reject `*` there", () => {
  assert.deepEqual(answer({}), {
    "access-control-allow-origin": "https://a.example",
    "access-control-allow-credentials": "true",
    "access-control-allow-methods": "PUT",
    "access-control-allow-headers": "x-a, x-b",
    "access-control-expose-headers": "x-c",
  });
  assert.deepEqual(answer({ allowCredentials: false }), {
    "access-control-allow-origin": "https://a.example",
    "access-control-allow-methods": "*",
    "access-control-allow-headers": "*",
    "access-control-expose-headers": "x-c",
  });
  assert.deepEqual(answer({}, { ...preflight, origin: "https://b.example" }), {});
});
