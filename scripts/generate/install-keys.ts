// Generates generated/install/known-values.json: the keys under `spec.values` of every release from 1.6 on, read from a
// clone of github.com/istio/istio with its tags and release branches.
//   node scripts/generate/install-keys.ts <clone>
// The generated file holds only the keys, each with the last release that had it. It copies no text from Istio.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { git, installValues } from "./install-values.ts";

const oldest = 6;
const newest = 31;
const clone = process.argv[2] ?? "";
if (clone === "") {
  console.error("usage: node scripts/generate/install-keys.ts <clone of istio/istio>");
  process.exit(2);
}

/**
 * A key of `spec.values`. `until` is the last minor release that had it. `open` means that any key may follow below it.
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

function child(key: Key, name: string, minor: number): Key {
  const found = key.children.get(name) ?? newKey();
  found.until = Math.max(found.until, minor);
  key.children.set(name, found);
  return found;
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

/** Adds the keys of a chart's defaults. Below a value that is no map, and below an empty map, any key is allowed. */
function addDefaults(key: Key, value: unknown, minor: number): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    key.open = true;
    return;
  }
  const entries = Object.entries(value);
  if (entries.length === 0) key.open = true;
  for (const [name, inner] of entries) addDefaults(child(key, name, minor), inner, minor);
}

function addRelease(minor: number, reference: string): void {
  const { messages, defaults } = installValues(clone, reference, minor);
  if (messages !== undefined) addMessage(root, messages, "Values", minor);
  for (const [path, value] of defaults)
    addDefaults(
      path.reduce((key, name) => child(key, name, minor), root),
      value,
      minor,
    );
}

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
  const tags = git(clone, "tag", "--list", `1.${minor}.*`)
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
