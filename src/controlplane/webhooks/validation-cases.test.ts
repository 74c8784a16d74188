import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { istioKinds } from "../../api/istio/index.ts";
import { validate } from "./admission.ts";

interface Case {
  readonly verdict: string;
  readonly path: string;
  readonly kind: string;
  readonly spec: string;
}

const cases: readonly Case[] = readFileSync(new URL("testing/validation-cases.txt", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => {
    const [verdict = "", path = "", kind = "", spec = ""] = line.split("\t");
    return { verdict, path, kind, spec };
  });

test("our webhook gives istiod's verdict in every recorded case, and names the faulty field", () => {
  const wrong: string[] = [];
  for (const { verdict, path, kind, spec } of cases) {
    const { group = "" } = istioKinds.find((one) => one.kind === kind) ?? {};
    const object = { metadata: { name: "a", namespace: "b" }, spec: parse(spec) as unknown };
    const { response } = validate({
      request: {
        uid: "1",
        name: "a",
        namespace: "b",
        kind: { group, version: "v1", kind },
        operation: "CREATE",
        object,
      },
    });
    const message = response.status?.message ?? "";
    if (
      response.allowed !== (verdict === "allowed") ||
      (!response.allowed && !message.split("\n").some((line) => line.startsWith(`${path}: `)))
    )
      wrong.push(`${verdict} ${path} ${kind} ${spec}\n  but ${response.allowed ? "allowed" : message}`);
  }
  assert.equal(wrong.join("\n"), "");
});

test("several hundred cases cover every kind, with both verdicts for each", () => {
  assert.ok(cases.length > 500);
  const kinds = new Set(cases.map(({ kind }) => kind));
  assert.deepEqual(
    istioKinds.map(({ kind }) => kind).filter((kind) => !kinds.has(kind)),
    [],
  );
  for (const kind of kinds)
    assert.deepEqual(
      ["allowed", "refused"].filter((verdict) => !cases.some((one) => one.kind === kind && one.verdict === verdict)),
      [],
      kind,
    );
});
