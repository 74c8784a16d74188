import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIssues } from "../parsed.ts";
import { parseCanary } from "./canary.ts";

function faultsOf(target: object, steps: readonly object[] = [{ weight: 100 }]): string[] {
  const { errors } = parseCanary({ metadata: { name: "c", namespace: "shop" }, spec: { target, steps } });
  return formatIssues(errors).split("\n");
}

const name = (got: string): string =>
  `must be the name of an object: lower-case letters, digits, dashes and dots, got "${got}"`;

test("names that no object can have are refused in every target", () => {
  assert.deepEqual(faultsOf({ deployment: { name: "", service: "Web_2", previewService: "a b" } }), [
    `spec.target.deployment.name: ${name("")}`,
    `spec.target.deployment.service: ${name("Web_2")}`,
    `spec.target.deployment.previewService: ${name("a b")}`,
  ]);
  assert.deepEqual(
    faultsOf({
      httpRoute: { name: "-a", namespace: "N", stable: { name: "A", port: 80 }, canary: { name: "b", port: 80 } },
    }),
    [
      `spec.target.httpRoute.stable.name: ${name("A")}`,
      `spec.target.httpRoute.name: ${name("-a")}`,
      `spec.target.httpRoute.namespace: ${name("N")}`,
    ],
  );
  assert.deepEqual(faultsOf({ services: { service: "/", stable: "a", canary: "b.", port: 80 } }), [
    `spec.target.services.canary: ${name("b.")}`,
    `spec.target.services.service: ${name("/")}`,
  ]);
  assert.deepEqual(faultsOf({ virtualService: { name: "vs", stable: { host: "a" }, canary: { host: "" } } }), [
    "spec.target.virtualService.canary.host: must not be empty",
  ]);
});

test("a match of a header with an impossible name is refused", () => {
  const match = { headers: [{ name: "a b", value: "x" }] };
  assert.deepEqual(faultsOf({ deployment: { name: "web", service: "web" } }, [{ match }]), [
    'spec.steps[0].match.headers[0].name: must be the name of a header, got "a b"',
  ]);
});
