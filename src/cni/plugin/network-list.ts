import { parse as parsePath } from "node:path";
import { isTree, type Tree } from "../../base/index.ts";

export const pluginType = "serin-cni";

interface NetworkList extends Tree {
  readonly plugins: readonly Tree[];
}

/** A network configuration file in the directory that container runtimes read. */
export interface NetworkFile {
  readonly name: string;
  readonly text: string;
}

/** A change of a file: its present name, and its new name and text. */
export interface NetworkFileChange {
  readonly from: string;
  readonly to: NetworkFile;
}

/** The field with the name of the original file, if that file had a single plugin and was converted to a list. */
const convertedFrom = "convertedFrom";

/** Returns the file that a runtime uses: the first valid file by name with a plugin other than this one. */
export function primaryNetworkFile(files: readonly NetworkFile[]): NetworkFile | undefined {
  return files
    .filter(({ name }) => /\.(conf|conflist)$/.test(name))
    .toSorted((left, right) => (left.name < right.name ? -1 : 1))
    .find((file) => listOf(file)?.plugins.some(({ type }) => type !== pluginType) === true);
}

/** Returns the types of a file's plugins, except this one. Each type is the name of a program. */
export function otherTypes(file: NetworkFile): string[] {
  const types = (listOf(file)?.plugins ?? []).map(({ type }) => String(type));
  return types.filter((type) => type !== pluginType);
}

/**
 * Returns the file with this plugin added at the end. Returns undefined if this plugin is already the last one, or if
 * the file is not a valid configuration.
 */
export function chained(file: NetworkFile): NetworkFileChange | undefined {
  const list = listOf(file);
  if (list === undefined) return undefined;
  const others = list.plugins.filter(({ type }) => type !== pluginType);
  const previous = list.plugins.find(({ type }) => type === pluginType);
  const single = file.name.endsWith(".conf");
  const plugin = { type: pluginType, ...(single ? { [convertedFrom]: file.name } : previous) };
  const isLast = list.plugins.length === others.length + 1 && list.plugins.at(-1)?.["type"] === pluginType;
  if (isLast && !single) return undefined;
  return {
    from: file.name,
    to: { name: single ? `${file.name}list` : file.name, text: print({ ...list, plugins: [...others, plugin] }) },
  };
}

/**
 * Returns the original file without this plugin, or undefined if the file does not contain it. If the file has no other
 * plugin, the new text is empty.
 */
export function unchained(file: NetworkFile): NetworkFileChange | undefined {
  const list = listOf(file);
  const ours = list?.plugins.find(({ type }) => type === pluginType);
  if (list === undefined || ours === undefined) return undefined;
  const { plugins, ...rest } = list;
  const others = plugins.filter(({ type }) => type !== pluginType);
  const [only, ...more] = others;
  if (only === undefined) return { from: file.name, to: { name: file.name, text: "" } };
  const former = ours[convertedFrom];
  if (typeof former === "string" && more.length === 0 && parsePath(former).base === former)
    return { from: file.name, to: { name: former, text: print({ ...rest, ...only }) } };
  return { from: file.name, to: { name: file.name, text: print({ ...rest, plugins: others }) } };
}

/** Returns a separate configuration file, for platforms that chain plugins by themselves (Multus). */
export function standalone(name: string): NetworkFile {
  return { name, text: print({ cniVersion: "1.0.0", name: pluginType, type: pluginType }) };
}

function print(fields: Tree): string {
  return `${JSON.stringify(fields, undefined, 2)}\n`;
}

/**
 * Parses a file. A file with a single plugin becomes a list with one entry. Returns undefined if no runtime would
 * accept the file.
 */
function listOf({ name, text }: NetworkFile): NetworkList | undefined {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isTree(raw)) return undefined;
  if (name.endsWith(".conflist")) {
    const plugins = raw["plugins"];
    const valid = Array.isArray(plugins) && plugins.length > 0 && plugins.every(isPlugin);
    return valid ? { ...raw, plugins } : undefined;
  }
  if (!isPlugin(raw)) return undefined;
  const { cniVersion, name: network, ...plugin } = raw;
  return {
    // If the file states no version, use the oldest version that supports chains of plugins.
    cniVersion: cniVersion ?? "0.3.1",
    name: network ?? "k8s-pod-network",
    plugins: [plugin],
  };
}

function isPlugin(value: unknown): value is Tree {
  return isTree(value) && typeof value["type"] === "string" && value["type"] !== "";
}
