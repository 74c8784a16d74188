import { userError } from "../base/index.ts";

/** A node of Go's text/template. Covers what pod templates use. */
export type TemplateNode =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "action"; readonly pipeline: Pipeline }
  | {
      readonly kind: "if" | "with" | "range";
      readonly pipeline: Pipeline;
      readonly body: readonly TemplateNode[];
      readonly otherwise: readonly TemplateNode[];
    }
  | { readonly kind: "call"; readonly name: string; readonly pipeline: Pipeline | undefined };

export interface Pipeline {
  /** One variable, or two for a range. */
  readonly declares: readonly string[];
  /** Whether it assigns an existing variable with `=`. */
  readonly assigns: boolean;
  readonly commands: readonly (readonly Operand[])[];
}

export type Operand =
  | { readonly kind: "literal"; readonly value: unknown }
  | { readonly kind: "dot" | "variable"; readonly name: string; readonly path: readonly string[] }
  | { readonly kind: "function"; readonly name: string }
  | { readonly kind: "group"; readonly pipeline: Pipeline; readonly path: readonly string[] };

export interface ParsedTemplate {
  readonly body: readonly TemplateNode[];
  readonly defined: ReadonlyMap<string, readonly TemplateNode[]>;
}

interface Piece {
  readonly isAction: boolean;
  readonly text: string;
}

/** Throws a user error with the fault and its position. */
export function parseGoTemplate(text: string): ParsedTemplate {
  return new TemplateParser(piecesOf(text)).parse();
}

function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let trimNext = false;
  const push = (raw: string, trimEnd: boolean): void => {
    const start = trimNext ? raw.trimStart() : raw;
    const plain = trimEnd ? start.trimEnd() : start;
    if (plain !== "") pieces.push({ isAction: false, text: plain });
  };
  for (let open = text.indexOf("{{"); open >= 0; open = text.indexOf("{{", at)) {
    const trims = /^-\s/.test(text.slice(open + 2, open + 4));
    const start = open + (trims ? 4 : 2);
    const end = endOfAction(text, start);
    if (end === undefined) throw malformed(`"${text.slice(open, open + 40)}" is not closed`);
    push(text.slice(at, open), trims);
    at = end + 2;
    trimNext = end - start >= 2 && /^\s-$/.test(text.slice(end - 2, end));
    const action = text.slice(start, trimNext ? end - 2 : end).trim();
    if (!action.startsWith("/*")) pieces.push({ isAction: true, text: action });
  }
  push(text.slice(at), false);
  return pieces;
}

/**
 * The position of the braces that close an action. Skips braces in strings and comments. Looks at each character once.
 */
function endOfAction(text: string, start: number): number | undefined {
  let at = start;
  while (at < text.length) {
    const char = text[at] ?? "";
    if (char === "}" && text[at + 1] === "}") return at;
    const closed = text.startsWith("/*", at)
      ? afterEnd(text, at + 2, "*/")
      : char === "`"
        ? afterEnd(text, at + 1, "`")
        : char === '"'
          ? afterQuoted(text, at + 1)
          : at + 1;
    if (closed === undefined) return undefined;
    at = closed;
  }
  return undefined;
}

function afterEnd(text: string, from: number, end: string): number | undefined {
  const found = text.indexOf(end, from);
  return found < 0 ? undefined : found + end.length;
}

function afterQuoted(text: string, from: number): number | undefined {
  for (let at = from; at < text.length; at += text[at] === "\\" ? 2 : 1) if (text[at] === '"') return at + 1;
  return undefined;
}

class TemplateParser {
  readonly #pieces: readonly Piece[];
  readonly #defined = new Map<string, readonly TemplateNode[]>();
  #at = 0;

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  parse(): ParsedTemplate {
    const { nodes, end } = this.#nodes();
    if (end !== undefined) throw malformed(`"${end}" without a beginning`);
    return { body: nodes, defined: this.#defined };
  }

  /** Parses up to the end of the text, or up to `end` or `else`, which it returns. */
  #nodes(): { nodes: TemplateNode[]; end: string | undefined } {
    const nodes: TemplateNode[] = [];
    for (let piece = this.#pieces[this.#at]; piece !== undefined; piece = this.#pieces[this.#at]) {
      this.#at += 1;
      if (!piece.isAction) {
        nodes.push({ kind: "text", text: piece.text });
        continue;
      }
      const [, word = "", rest = ""] = /^([a-z]+)\b\s*([\s\S]*)$/.exec(piece.text) ?? [];
      if (word === "end" || word === "else") return { nodes, end: piece.text };
      const node = this.#action(word, rest, piece.text);
      if (node !== undefined) nodes.push(node);
    }
    return { nodes, end: undefined };
  }

  #action(word: string, rest: string, whole: string): TemplateNode | undefined {
    switch (word) {
      case "if":
      case "with":
      case "range":
        return this.#branch(word, rest);
      case "define":
        this.#defined.set(nameIn(rest), this.#closed(`define ${rest}`));
        return undefined;
      case "template":
      case "include": {
        if (word === "include") break;
        const pipeline = rest.replace(/^("[^"]*"|`[^`]*`)\s*/, "");
        return { kind: "call", name: nameIn(rest), pipeline: pipeline === "" ? undefined : parsePipeline(pipeline) };
      }
      case "block":
      case "break":
      case "continue":
        throw malformed(`"${word}" is not supported`);
      default:
    }
    return { kind: "action", pipeline: parsePipeline(whole) };
  }

  #branch(kind: "if" | "with" | "range", condition: string): TemplateNode {
    const pipeline = parsePipeline(condition);
    const { nodes: body, end } = this.#nodes();
    if (end === undefined) throw malformed(`"${kind} ${condition}" has no end`);
    if (end === "end") return { kind, pipeline, body, otherwise: [] };
    const [, next, nextCondition = ""] = /^else\s+(if|with)\s+([\s\S]+)$/.exec(end) ?? [];
    // `else if` shares the `end` of the outer action.
    const otherwise =
      next === undefined ? this.#closed(`${kind} ${condition}`) : [this.#branch(next as "if", nextCondition)];
    return { kind, pipeline, body, otherwise };
  }

  #closed(of: string): readonly TemplateNode[] {
    const { nodes, end } = this.#nodes();
    if (end !== "end") throw malformed(`"${of}" has no end`);
    return nodes;
  }
}

function nameIn(text: string): string {
  const [, quoted, raw] = /^(?:"([^"]*)"|`([^`]*)`)/.exec(text) ?? [];
  const name = quoted ?? raw;
  if (name === undefined) throw malformed(`"${text}" should begin with a name in quotes`);
  return name;
}

const tokenPattern =
  /\s*(?:("(?:\\.|[^"\\])*")|`([^`]*)`|(-?\d+(?:\.\d+)?)|(:=|[=|(),])|(\$[A-Za-z0-9_]*)|((?:\.[A-Za-z_][A-Za-z0-9_]*)+|\.)|([A-Za-z_][A-Za-z0-9_]*))/y;

interface Token {
  readonly kind: "literal" | "sign" | "variable" | "path" | "word";
  readonly text: string;
  readonly value?: unknown;
  /** Whether it directly follows the previous token. */
  readonly joined: boolean;
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const source = text.trimEnd();
  while (at < source.length) {
    tokenPattern.lastIndex = at;
    const match = tokenPattern.exec(source);
    if (match === null) throw malformed(`"${source.slice(at).trim()}" is not understood`);
    const joined = !/^\s/.test(match[0]) && at > 0;
    at = tokenPattern.lastIndex;
    const [, quoted, raw, number, sign, variable, path, word] = match;
    if (quoted !== undefined) tokens.push({ kind: "literal", text: quoted, value: unquoted(quoted), joined });
    else if (raw !== undefined) tokens.push({ kind: "literal", text: raw, value: raw, joined });
    else if (number !== undefined) tokens.push({ kind: "literal", text: number, value: Number(number), joined });
    else if (sign !== undefined) tokens.push({ kind: "sign", text: sign, joined });
    else if (variable !== undefined) tokens.push({ kind: "variable", text: variable.slice(1), joined });
    else if (path !== undefined) tokens.push({ kind: "path", text: path, joined });
    else if (word === "true" || word === "false")
      tokens.push({ kind: "literal", text: word, value: word === "true", joined });
    else if (word === "nil") tokens.push({ kind: "literal", text: word, value: undefined, joined });
    else tokens.push({ kind: "word", text: word ?? "", joined });
  }
  return tokens;
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    throw malformed(`${text} is no text in quotes`);
  }
}

function parsePipeline(text: string): Pipeline {
  const tokens = tokensOf(text);
  const reader = { tokens, at: 0 };
  const pipeline = readPipeline(reader, text);
  if (reader.at < tokens.length)
    throw malformed(`"${text}" has "${tokens[reader.at]?.text ?? ""}" where its end was expected`);
  return pipeline;
}

interface TokenReader {
  readonly tokens: readonly Token[];
  at: number;
}

function readPipeline(reader: TokenReader, text: string): Pipeline {
  const { declares, assigns } = readDeclaration(reader);
  const commands: Operand[][] = [[]];
  for (let token = reader.tokens[reader.at]; token !== undefined; token = reader.tokens[reader.at]) {
    if (token.kind === "sign" && token.text === ")") break;
    reader.at += 1;
    if (token.kind === "sign" && token.text === "|") commands.push([]);
    else commands.at(-1)?.push(readOperand(reader, token, text));
  }
  if (commands.some((command) => command.length === 0)) throw malformed(`"${text}" has an empty command`);
  return { declares, assigns, commands };
}

function readDeclaration(reader: TokenReader): Pick<Pipeline, "declares" | "assigns"> {
  const [first, second, third, fourth] = reader.tokens.slice(reader.at, reader.at + 4);
  const isSign = (token: Token | undefined, ...signs: readonly string[]): boolean =>
    token?.kind === "sign" && signs.includes(token.text);
  if (first?.kind !== "variable") return { declares: [], assigns: false };
  if (isSign(second, ":=", "=")) {
    reader.at += 2;
    return { declares: [first.text], assigns: second?.text === "=" };
  }
  if (!isSign(second, ",") || third?.kind !== "variable" || !isSign(fourth, ":=", "="))
    return { declares: [], assigns: false };
  reader.at += 4;
  return { declares: [first.text, third.text], assigns: fourth?.text === "=" };
}

function readOperand(reader: TokenReader, token: Token, text: string): Operand {
  switch (token.kind) {
    case "literal":
      return { kind: "literal", value: token.value };
    case "word":
      return { kind: "function", name: token.text };
    case "path":
      return { kind: "dot", name: "", path: fieldsOf(token.text) };
    case "variable":
      return { kind: "variable", name: token.text, path: readJoinedPath(reader) };
    default:
  }
  if (token.text !== "(") throw malformed(`"${text}" has "${token.text}" where a value was expected`);
  const pipeline = readPipeline(reader, text);
  if (reader.tokens[reader.at]?.text !== ")") throw malformed(`"${text}" has a "(" that is not closed`);
  reader.at += 1;
  return { kind: "group", pipeline, path: readJoinedPath(reader) };
}

function readJoinedPath(reader: TokenReader): string[] {
  const next = reader.tokens[reader.at];
  if (next?.kind !== "path" || !next.joined) return [];
  reader.at += 1;
  return fieldsOf(next.text);
}

function fieldsOf(path: string): string[] {
  return path.split(".").filter((field) => field !== "");
}

function malformed(what: string): Error {
  return userError("template-invalid", what);
}
