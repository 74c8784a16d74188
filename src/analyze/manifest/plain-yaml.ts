import { plainScalar } from "../../base/kubernetes-yaml/index.ts";
import type { Position } from "../resource.ts";
import type { Positions } from "./positions.ts";

export interface PlainDocument {
  readonly value: unknown;
  readonly line: number;
  readonly positions: Positions;
}

/**
 * Parses YAML in the usual form of manifests: block maps and lists, scalars on one line, literal blocks, and short flow
 * collections. Undefined if the text has anything else, such as anchors, tags, folded text, tabs or faults. The full
 * parser then has to read it, which takes ten times as long to load and to run. Both give the same results.
 */
export function readPlainYaml(text: string): PlainDocument[] | undefined {
  if (text.includes("\t") || text.includes("\r") || text.startsWith("\uFEFF")) return undefined;
  const lines = text.split("\n");
  const documents: PlainDocument[] = [];
  let start = 0;
  try {
    for (let index = 0; index <= lines.length; index += 1) {
      const line = lines[index];
      if (line !== undefined && !line.startsWith("---") && !line.startsWith("...") && !line.startsWith("%")) continue;
      const document = new PlainReader(lines, start, index).document();
      if (document !== undefined) documents.push(document);
      if (line !== undefined && !/^---(\s+#.*|\s*)$/.test(line)) return undefined;
      start = index + 1;
    }
  } catch (error) {
    if (error instanceof NotPlain) return undefined;
    throw error;
  }
  return documents;
}

class NotPlain extends Error {}

interface Line {
  readonly indent: number;
  readonly text: string;
}

const keyPattern = /^([A-Za-z0-9_][A-Za-z0-9_./-]*|"[^"\\]*"|'[^']*')\s*:(?:\s+(.*))?$/;
/** Whether a key without quotes is its own text. YAML rewrites numbers (`0o7`, `1e3`), booleans (`y`) and null. */
function isTextKey(key: string): boolean {
  const value = plainScalar(key);
  return value !== null && String(value) === key && key !== "__proto__";
}

const commentPattern = /(^|\s+)#.*$/;

class PlainReader {
  readonly #lines: readonly string[];
  readonly #end: number;
  readonly #start: number;
  readonly #positions: Positions = new Map();
  #at: number;
  /** What follows a dash. It is parsed as a line of its own. */
  #rest: Line | undefined;

  constructor(lines: readonly string[], start: number, end: number) {
    this.#lines = lines;
    this.#start = start;
    this.#at = start;
    this.#end = end;
  }

  /** Reads the document. Undefined if it consists of comments. */
  document(): PlainDocument | undefined {
    const first = this.#peek();
    if (first === undefined) return undefined;
    const line = this.#start + 1;
    if (first.indent !== 0) throw new NotPlain();
    const value = this.#block(0);
    if (this.#peek() !== undefined) throw new NotPlain();
    return { value, line, positions: this.#positions };
  }

  #peek(): Line | undefined {
    if (this.#rest !== undefined) return this.#rest;
    for (; this.#at < this.#end; this.#at += 1) {
      const raw = this.#lines[this.#at] ?? "";
      const text = raw.trimStart();
      if (text !== "" && !text.startsWith("#")) return { indent: raw.length - text.length, text: text.trimEnd() };
    }
    return undefined;
  }

  #next(): void {
    this.#rest = undefined;
    this.#at += 1;
  }

  #position(indent: number): Position {
    return { line: this.#at + 1, column: indent + 1 };
  }

  #block(indent: number): unknown {
    const line = this.#peek();
    if (line === undefined || line.indent !== indent) throw new NotPlain();
    if (isDash(line.text)) return this.#list(indent);
    if (keyPattern.test(line.text)) return this.#map(indent);
    throw new NotPlain();
  }

  #map(indent: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    const positions = new Map<string | number, Position>();
    this.#positions.set(map, positions);
    for (let line = this.#peek(); line !== undefined && line.indent >= indent; line = this.#peek()) {
      const [, quotedKey = "", value = ""] = (line.indent === indent ? keyPattern.exec(line.text) : undefined) ?? [];
      const isQuoted = /^["']/.test(quotedKey);
      const key = isQuoted ? quotedKey.slice(1, -1) : quotedKey;
      if (quotedKey === "" || (isQuoted ? key === "__proto__" : !isTextKey(key)) || Object.hasOwn(map, key))
        throw new NotPlain();
      positions.set(key, this.#position(indent));
      map[key] = this.#value(value, indent, true);
    }
    return map;
  }

  #list(indent: number): unknown[] {
    const list: unknown[] = [];
    const positions = new Map<string | number, Position>();
    this.#positions.set(list, positions);
    for (
      let line = this.#peek();
      line !== undefined && line.indent === indent && isDash(line.text);
      line = this.#peek()
    ) {
      const content = line.text.slice(1).trimStart();
      const inner = indent + line.text.length - content.length;
      positions.set(list.length, this.#position(content === "" ? indent : inner));
      if (isDash(content) || keyPattern.test(content)) {
        this.#rest = { indent: inner, text: content };
        list.push(this.#block(inner));
      } else {
        list.push(this.#value(content, indent, false));
      }
    }
    const after = this.#peek();
    if (after !== undefined && after.indent > indent) throw new NotPlain();
    return list;
  }

  /** The value that follows a key or a dash, on the same line or on those below. */
  #value(text: string, indent: number, isOfMap: boolean): unknown {
    const bare = text.startsWith("#") ? "" : text;
    if (/^[|]/.test(bare)) return this.#literal(bare, indent);
    this.#next();
    const below = this.#peek();
    if (bare === "") {
      if (below !== undefined && below.indent > indent) return this.#block(below.indent);
      if (isOfMap && below !== undefined && below.indent === indent && isDash(below.text)) return this.#list(indent);
      return null;
    }
    // The text goes on on the next line, which only the full parser reads.
    if (below !== undefined && below.indent > indent) throw new NotPlain();
    return scalar(bare);
  }

  #literal(text: string, indent: number): string {
    const [, chomping] = /^\|([-+]?)(?:\s+#.*)?$/.exec(text) ?? [];
    if (chomping === undefined) throw new NotPlain();
    this.#next();
    const first = this.#lines.slice(this.#at, this.#end).find((line) => line.trim() !== "");
    const inner = first === undefined ? 0 : first.length - first.trimStart().length;
    if (inner <= indent) throw new NotPlain();
    const content: string[] = [];
    for (; this.#at < this.#end; this.#at += 1) {
      const line = this.#lines[this.#at] ?? "";
      const isBlank = line.trim() === "";
      if (!isBlank && line.length - line.trimStart().length < inner) break;
      // YAML forbids blank lines at the beginning of a block that are longer than its indentation.
      if (isBlank && line.length > inner && content.every((earlier) => earlier === "")) throw new NotPlain();
      content.push(line.slice(inner));
    }
    // A file that ends with a line feed has no line after it.
    if (this.#at === this.#lines.length && content.at(-1) === "") content.pop();
    let trailing = 0;
    while (content.at(-1) === "") {
      content.pop();
      trailing += 1;
    }
    const body = content.join("\n");
    if (chomping === "-") return body;
    return chomping === "+" ? `${body}\n${"\n".repeat(trailing)}` : `${body}\n`;
  }
}

function isDash(text: string): boolean {
  return text === "-" || text.startsWith("- ");
}

function scalar(text: string): unknown {
  if (text.startsWith("{") || text.startsWith("[")) return new FlowReader(text).whole();
  const quoted = /^("(?:[^"\\]|\\["\\/bfnrt])*"|'(?:[^']|'')*')(?:\s+#.*)?$/.exec(text)?.[1];
  if (quoted !== undefined) return unquote(quoted);
  return plain(text.replace(commentPattern, ""));
}

function unquote(quoted: string): string {
  return quoted.startsWith('"') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1).replaceAll("''", "'");
}

function plain(text: string): unknown {
  if (/^[-?:,[\]{}#&*!|>'"%@`]/.test(text) && !/^-[^\s-]/.test(text) && !/^--\S/.test(text)) throw new NotPlain();
  if (text.includes(": ") || text.endsWith(":")) throw new NotPlain();
  return plainScalar(text);
}

/** Reads a flow collection within a line: `[a, "b"]` or `{a: 1}`. */
class FlowReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): unknown {
    const value = this.#value();
    if (!/^(\s*|\s+#.*)$/.test(this.#text.slice(this.#at))) throw new NotPlain();
    return value;
  }

  #value(): unknown {
    if (this.#take("[")) return this.#items("]", () => this.#value());
    if (this.#take("{")) return Object.fromEntries(this.#items("}", () => this.#entry()));
    const quoted = this.#match(/"(?:[^"\\]|\\["\\/bfnrt])*"|'(?:[^']|'')*'/y);
    if (quoted !== undefined) return unquote(quoted);
    const bare = this.#match(/[^\s,[\]{}:#"'&*!|>%@`?][^\s,[\]{}:#]*/y);
    if (bare === undefined) throw new NotPlain();
    return plain(bare);
  }

  #entry(): [string, unknown] {
    const key = this.#match(/[A-Za-z0-9_][A-Za-z0-9_./-]*/y);
    if (key === undefined || !isTextKey(key) || !this.#take(":") || this.#match(/ +/y) === undefined)
      throw new NotPlain();
    return [key, this.#value()];
  }

  #items<Item>(end: string, read: () => Item): Item[] {
    const items: Item[] = [];
    this.#match(/ +/y);
    while (!this.#take(end)) {
      items.push(read());
      this.#match(/ +/y);
      if (this.#take(end)) return items;
      if (!this.#take(",")) throw new NotPlain();
      this.#match(/ +/y);
    }
    return items;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }
}
