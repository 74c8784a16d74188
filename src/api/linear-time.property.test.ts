import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { suspicion, type GrowthLimits } from "../base/testing/index.ts";
import { banzaiIstioKind, banzaiMeshGatewayKind, parseBanzaiIstio, parseBanzaiMeshGateway } from "./banzai/index.ts";
import { gatewayApiKinds } from "./gateway/index.ts";
import { istioKinds } from "./istio/index.ts";
import type { KindDefinition } from "./kind.ts";
import { canaryKind, checkKind, freezeKind, meshUpgradeKind } from "./serin/index.ts";
import { definitionsIn } from "./testing/definitions-in.ts";

// Grows every list, map and text of every kind, and reports parsers whose time grows more than linearly.

interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
}

interface Definition {
  readonly kind: string;
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[];
  };
}

type Path = readonly (string | number)[];

const kinds = [
  ...istioKinds,
  ...gatewayApiKinds,
  canaryKind,
  checkKind,
  freezeKind,
  meshUpgradeKind,
  { ...banzaiIstioKind, parse: parseBanzaiIstio },
  { ...banzaiMeshGatewayKind, parse: parseBanzaiMeshGateway },
];
const read = (file: string): string => readFileSync(new URL(file, import.meta.url), "utf8");
const definitions = [
  "../../manifests/crds/istio.yaml",
  "../../manifests/crds/gateway-api.yaml",
  "../../manifests/crds/rollout.yaml",
  "../../manifests/crds/banzai.yaml",
].flatMap((file) => definitionsIn(read(file)) as Definition[]);
/** Objects that get deep into the parsers. Each line has the verdict, the path, the kind and the spec. */
const cases = read("../controlplane/webhooks/testing/validation-cases.txt")
  .split("\n")
  .map((line) => line.split("\t"));

const maxDepth = 14;

/** An object in which every field is set once. */
function sampleOf(schema: Schema, depth = 0): unknown {
  const { type, properties, items, additionalProperties } = schema;
  if (schema.enum !== undefined) return schema.enum.find((value) => value !== "") ?? "a";
  if (depth > maxDepth) return {};
  if (type === "array") return [sampleOf(items ?? { type: "string" }, depth + 1)];
  if (type === "integer" || type === "number") return 80;
  if (type === "boolean") return true;
  if (properties !== undefined)
    return Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, sampleOf(field, depth + 1)]));
  if (additionalProperties !== undefined)
    return { x: sampleOf(typeof additionalProperties === "object" ? additionalProperties : {}, depth + 1) };
  return type === "object" ? { x: "a" } : "a.example.com";
}

function samplesOf({ kind, group }: KindDefinition): unknown[] {
  const written = cases
    .filter(([, , definedKind]) => definedKind === kind && group.endsWith("istio.io"))
    .map(([, , , spec = ""]) => parse(spec) as unknown);
  const specs = definitions
    .filter(
      (definition) =>
        definition.kind === "CustomResourceDefinition" &&
        definition.spec.group === group &&
        definition.spec.names.kind === kind,
    )
    .flatMap((definition) => definition.spec.versions.at(-1)?.schema.openAPIV3Schema.properties?.["spec"] ?? [])
    .map((schema) => sampleOf(schema));
  return [...specs, ...written];
}

function* pathsOf(value: unknown, path: Path = []): Generator<Path> {
  yield path;
  if (typeof value !== "object" || value === null) return;
  for (const [key, item] of Object.entries(value))
    yield* pathsOf(item, [...path, Array.isArray(value) ? Number(key) : key]);
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((found, key) => (found as Record<string | number, unknown>)[key], value);
}

function replaced(value: unknown, [key, ...rest]: Path, by: unknown): unknown {
  if (key === undefined) return by;
  if (Array.isArray(value))
    return value.map((item: unknown, index) => (index === key ? replaced(item, rest, by) : item));
  const record = value as Record<string, unknown>;
  return { ...record, [key]: replaced(record[key], rest, by) };
}

/**
 * Makes values of the same form with other names and numbers. It analyses the form once, because tests make thousands
 * of values.
 */
function variantsOf(value: unknown): (index: number) => unknown {
  if (typeof value === "string") {
    const at = /^[A-Z0-9_]+$/.test(value) ? -1 : value.search(/[a-z0-9]/);
    if (at < 0) return () => value;
    const [before, after] = [value.slice(0, at + 1), value.slice(at + 1)];
    return (index) => `${before}${index}${after}`;
  }
  if (typeof value === "number") return (index) => value + index;
  if (typeof value !== "object" || value === null) return () => value;
  const fields = Object.entries(value).map(([key, item]) => [key, variantsOf(item)] as const);
  if (Array.isArray(value)) return (index) => fields.map(([, variant]) => variant(index));
  return (index) => {
    const variant: Record<string, unknown> = {};
    for (const [key, variantOf] of fields) variant[key] = variantOf(index);
    return variant;
  };
}

const trimmedDepth = 1;

/**
 * The value without its deeper levels. Many small elements suffice to show the cost of comparisons, and large ones take
 * long.
 */
function trimmed(value: unknown, depth = 0): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value))
    return depth > trimmedDepth
      ? value.filter((item) => typeof item !== "object")
      : value.map((item) => trimmed(item, depth + 1));
  const kept = Object.entries(value).filter(
    ([, item]) => typeof item !== "object" || item === null || depth < trimmedDepth,
  );
  return Object.fromEntries(kept.map(([key, item]) => [key, trimmed(item, depth + 1)]));
}

type Growth = (size: number) => unknown;

function repeated(piece: string, size: number): string {
  return piece.repeat(Math.ceil(size / Math.max(1, piece.length)));
}

/** The ways in which a value can be enlarged by repetition. */
function growthsOf(value: unknown): readonly (readonly [string, Growth])[] {
  if (Array.isArray(value) && value.length > 0) {
    const element = trimmed(value[0]);
    const variant = variantsOf(element);
    return [
      ["different elements", (size) => Array.from({ length: size }, (_, index) => variant(index))],
      ["equal elements", (size) => Array.from({ length: size }, () => element)],
    ];
  }
  if (typeof value === "string")
    return [
      ...[value, "a", "a.", "*.", ".", "-", " ", "{", "/", "%", ","].map((piece): [string, Growth] => [
        `text of ${JSON.stringify(piece)}`,
        (size) => repeated(piece, size),
      ]),
      // A regular expression that searches for an end takes the most time if the end is missing.
      ...["[", "{{", " ", "/", "1", "-", ".", ":", "_", '"'].map((piece): [string, Growth] => [
        `text with ${JSON.stringify(piece)} before its end`,
        (size) => `${value}{{${repeated(piece, size)}x\nx`,
      ]),
    ];
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
  const first = trimmed(Object.values(value)[0]);
  return [["different keys", (size) => Object.fromEntries(manyKeys.slice(0, size).map((key) => [key, first]))]];
}

const listSize = 4_000;
/**
 * The limits for lists of {@link listSize} elements. They find the same parsers as the usual limits would with lists
 * twice as long: those in which the quadratic part of the time would be above 30 ms, and more than four times the
 * linear part.
 */
const listLimits: GrowthLimits = { unsuspiciousMs: 7.5, maxTimes: 8 };
const manyKeys = Array.from({ length: listSize }, (_, index) => `k${index}`);
const textSize = 16_000;

for (const kind of kinds)
  test(`no list, map or text of a ${kind.kind} takes ${kind.group}'s parser more than linear time`, () => {
    const parser = kind.parse;
    assert.ok(parser !== undefined);
    const samples = samplesOf(kind);
    assert.ok(samples.length > 0 || kind.kind === "GatewayClass", `no sample of ${kind.kind}`);
    const seen = new Set<string>();
    const found: string[] = [];
    for (const spec of samples)
      for (const path of pathsOf(spec)) {
        const value = at(spec, path);
        const shape = `${path.map((key) => (typeof key === "number" ? "[]" : `.${key}`)).join("")} ${Array.isArray(value) ? "list" : typeof value}`;
        if (seen.has(shape)) continue;
        seen.add(shape);
        for (const [how, grow] of growthsOf(value)) {
          const make = (size: number): unknown => ({
            metadata: { name: "a", namespace: "b" },
            spec: replaced(spec, path, grow(size)),
          });
          const times =
            typeof value === "string"
              ? suspicion(parser, make, textSize)
              : suspicion(parser, make, listSize, listLimits);
          if (times !== undefined) found.push(`spec${shape}, ${how}: ${times}`);
        }
      }
    assert.deepEqual(found, []);
  });
