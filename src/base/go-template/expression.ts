import { malformed } from "./malformed.ts";
import type { Operand, Pipeline } from "./syntax.ts";

const tokenPattern =
  /\s*(?:("(?:\\.|[^"\\])*")|`([^`]*)`|(-?\d+(?:\.\d+)?)|(:=|[=|(),])|(\$[A-Za-z0-9_]*)|((?:\.[A-Za-z_][A-Za-z0-9_]*)+|\.)|([A-Za-z_][A-Za-z0-9_]*))/y;

interface Token {
  readonly kind: "literal" | "sign" | "variable" | "path" | "word";
  readonly text: string;
  readonly value?: unknown;
  /** Whether no blank separates the token from the previous one. */
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
    throw malformed(`${text} is not a quoted string`);
  }
}

export function parsePipeline(text: string): Pipeline {
  const tokens = tokensOf(text);
  const reader = { tokens, at: 0, nesting: 0 };
  const pipeline = readPipeline(reader, text);
  if (reader.at < tokens.length)
    throw malformed(`"${text}" has "${tokens[reader.at]?.text ?? ""}" where its end was expected`);
  return pipeline;
}

interface TokenReader {
  readonly tokens: readonly Token[];
  at: number;
  nesting: number;
}

const maxNesting = 100;

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
  if (reader.nesting >= maxNesting) throw malformed(`parentheses are nested more than ${maxNesting} levels deep`);
  reader.nesting += 1;
  const pipeline = readPipeline(reader, text);
  reader.nesting -= 1;
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
