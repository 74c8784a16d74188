// Generates generated/install/known-values.json: the keys under `spec.values` of every release from 1.6 on, read from a
// clone of github.com/istio/istio with its tags and release branches.
//   node scripts/generate/install-keys.ts <clone>
// The generated file holds only the keys and the last release that had each. It copies no text of Istio's.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

const oldest = 6;
const newest = 31;
const clone = process.argv[2] ?? "";
if (clone === "") {
  console.error("usage: node scripts/generate/install-keys.ts <clone of istio/istio>");
  process.exit(2);
}

/**
 * A key. Its children are absent if any key may follow. The last minor release that had it is absent if the newest one
 * has it.
 */
interface Key {
  until: number;
  open: boolean;
  readonly children: Map<string, Key>;
}

const root = newKey();

function newKey(): Key {
  return { until: 0, open: false, children: new Map() };
}

function git(...args: readonly string[]): string {
  return execFileSync("git", ["-C", clone, ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "ignore"],
  });
}

function child(key: Key, name: string, minor: number): Key {
  const found = key.children.get(name) ?? newKey();
  found.until = Math.max(found.until, minor);
  key.children.set(name, found);
  return found;
}

/** The messages of a proto file: the type of each field by its name. */
function messagesIn(proto: string): Map<string, Map<string, string>> {
  const messages = new Map<string, Map<string, string>>();
  const stack: string[] = [];
  for (const line of proto
    .replaceAll(/\/\*[\s\S]*?\*\//g, "")
    .split("\n")
    .map((each) => each.replace(/\/\/.*/, "").trim())) {
    const opened = /^(?:message|enum|oneof)\s+(\w+)/.exec(line);
    if (opened?.[1] !== undefined) {
      stack.push(line.startsWith("oneof") ? (stack.at(-1) ?? "") : opened[1]);
      if (line.startsWith("message")) messages.set(opened[1], new Map());
    }
    const field = /^(?:repeated\s+|optional\s+)?(map\s*<.*>|[\w.]+)\s+(\w+)\s*=\s*\d+\s*(\[.*)?/.exec(line);
    if (
      field?.[1] !== undefined &&
      field[2] !== undefined &&
      opened === null &&
      !["option", "syntax"].includes(field[1])
    ) {
      const json = /json_name\s*=\s*"([^"]+)"/.exec(field[3] ?? "")?.[1];
      messages.get(stack.at(-1) ?? "")?.set(json ?? field[2], line.startsWith("repeated") ? "repeated" : field[1]);
    }
    if (line.includes("}")) stack.pop();
  }
  return messages;
}

function addMessage(
  key: Key,
  messages: Map<string, Map<string, string>>,
  name: string,
  minor: number,
  depth = 0,
): void {
  for (const [field, type] of messages.get(name) ?? []) {
    const found = child(key, field, minor);
    const short = type.split(".").at(-1) ?? type;
    if (messages.has(short) && depth < 8 && (messages.get(short)?.size ?? 0) > 0 && !/IntOrString|Struct/.test(short))
      addMessage(found, messages, short, minor, depth + 1);
    else found.open = true;
  }
}

/** Adds the keys of a chart's defaults. An empty map accepts any key. */
function addDefaults(key: Key, value: unknown, minor: number): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    key.open = true;
    return;
  }
  const entries = Object.entries(value);
  if (entries.length === 0) key.open = true;
  for (const [name, inner] of entries) addDefaults(child(key, name, minor), inner, minor);
}

/** The charts of an installation, and the key of `spec.values` for each chart's own values. */
const charts: readonly (readonly [folder: string, key: string | undefined])[] = [
  ["base", undefined],
  ["istio-control/istio-discovery", undefined],
  ["gateways/istio-ingress", undefined],
  ["gateways/istio-egress", undefined],
  ["istio-cni", "cni"],
  ["ztunnel", "ztunnel"],
  ["istiod-remote", undefined],
];

function addRelease(minor: number, reference: string): void {
  const files = git("ls-tree", "-r", "--name-only", reference, "operator", "manifests").split("\n");
  const proto = files.find((file) => file.endsWith("values_types.proto"));
  if (proto !== undefined) addMessage(root, messagesIn(git("show", `${reference}:${proto}`)), "Values", minor);
  for (const [folder, under] of charts) {
    const file = `manifests/charts/${folder}/values.yaml`;
    if (!files.includes(file)) continue;
    const parsed = parse(git("show", `${reference}:${file}`)) as Record<string, unknown>;
    const defaults = (parsed["_internal_defaults_do_not_set"] ?? parsed["defaults"] ?? parsed) as Record<
      string,
      unknown
    >;
    for (const [name, value] of Object.entries(defaults)) {
      const own =
        under ?? (folder.endsWith("istio-discovery") && !(name in rootKeys) && minor >= 24 ? "pilot" : undefined);
      const parent = own === undefined || name === own || name === "global" ? root : child(root, own, minor);
      addDefaults(child(parent, name, minor), value, minor);
    }
  }
}

/** Keys of istiod's chart that stand beside `pilot` instead of below it. */
const rootKeys: Readonly<Record<string, true>> = {
  global: true,
  pilot: true,
  sidecarInjectorWebhook: true,
  istiodRemote: true,
  telemetry: true,
  revision: true,
  revisionTags: true,
  ownerName: true,
  meshConfig: true,
  experimental: true,
  base: true,
  gateways: true,
  gatewayClasses: true,
  compatibilityVersion: true,
  profile: true,
  defaultRevision: true,
  platform: true,
  pdb: true,
  istio_cni: true,
};

function compact(key: Key): unknown {
  const isLeaf = key.children.size === 0;
  if (isLeaf) return key.until < newest ? key.until : 1;
  const entries: [string, unknown][] = [...key.children]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => [name, compact(inner)]);
  if (key.until < newest) entries.unshift(["", key.until]);
  if (key.open) entries.push(["*", 1]);
  return Object.fromEntries(entries);
}

for (let minor = oldest; minor <= newest; minor += 1) {
  const tags = git("tag", "--list", `1.${minor}.*`)
    .split("\n")
    .filter((tag) => new RegExp(`^1\\.${minor}\\.\\d+$`).test(tag));
  const last = tags.sort((a, b) => Number(a.split(".")[2]) - Number(b.split(".")[2])).at(-1);
  addRelease(minor, last ?? `release-1.${minor}`);
}
root.until = newest;
const folder = join(import.meta.dirname, "../../generated/install");
mkdirSync(folder, { recursive: true });
const text = `${JSON.stringify(compact(root))}\n`;
writeFileSync(join(folder, "known-values.json"), text);
console.log(`known-values: ${text.length} bytes`);
