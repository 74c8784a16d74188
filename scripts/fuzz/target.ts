import { readdirSync, readFileSync } from "node:fs";

/** A parser that a stranger's bytes reach. */
export interface FuzzTarget {
  /** What the parser reads, for the log. */
  readonly title: string;
  /** Inputs that are well formed, or nearly so. */
  readonly seeds: readonly (Buffer | string)[];
  /** Words of the format beyond those that its sources hold. */
  readonly words?: readonly string[];
  /** {@link defaultMaxBytes} when absent. */
  readonly maxBytes?: number;
  /** Throws when the parser broke a rule. A refusal by the parser's declared error type is none. */
  readonly run: (input: Buffer) => void | Promise<void>;
}

export const defaultMaxBytes = 2048;

/** The names of all targets: one file each. */
export function targetNames(): string[] {
  return readdirSync(new URL("targets/", import.meta.url))
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -".ts".length))
    .toSorted();
}

export async function loadTarget(name: string): Promise<FuzzTarget> {
  const { target } = (await import(new URL(`targets/${name}.ts`, import.meta.url).href)) as { target: FuzzTarget };
  return target;
}

/** Where the found inputs of a target are kept. */
export function corpusFile(name: string): URL {
  return new URL(`corpus/${name}.json`, import.meta.url);
}

/** Each string is of bytes, one a character. Empty for a target that has none yet. */
export function readCorpus(name: string): Buffer[] {
  let text: string;
  try {
    text = readFileSync(corpusFile(name), "utf8");
  } catch {
    return [];
  }
  return (JSON.parse(text) as string[]).map((bytes) => Buffer.from(bytes, "latin1"));
}

/** Passes a refusal by, and throws what is none. */
export function expectRefusal(error: unknown, ...declared: readonly (new (...args: never[]) => Error)[]): void {
  if (!declared.some((type) => error instanceof type)) throw error;
}

/** A rule that must hold whatever comes. */
export function expect(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new Error(`broken rule: ${rule}`);
}
