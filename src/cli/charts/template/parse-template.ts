import { internalError } from "../../../base/index.ts";
import type { Expression, Node, ParsedTemplate } from "./syntax.ts";
import { piecesOf, type Piece, type Token } from "./tokens.ts";

/** Parses a template. `name` is for error messages. Only our own charts are parsed, so an error is a bug of ours. */
export function parseTemplate(text: string, name: string): ParsedTemplate {
  return new TemplateParser(piecesOf(text, name), name).parse();
}

class TemplateParser {
  readonly #pieces: readonly Piece[];
  readonly #name: string;
  readonly #definitions = new Map<string, readonly Node[]>();
  #at = 0;

  constructor(pieces: readonly Piece[], name: string) {
    this.#pieces = pieces;
    this.#name = name;
  }

  parse(): ParsedTemplate {
    const { nodes, ending } = this.#block();
    if (ending !== undefined) throw this.#error(`${ending} without a beginning`);
    return { nodes, definitions: this.#definitions };
  }

  /** Parses up to the `end` or `else` of the block, or the end of the template. */
  #block(): {
    readonly nodes: readonly Node[];
    readonly ending: "end" | "else" | undefined;
    readonly rest: readonly Token[];
  } {
    const nodes: Node[] = [];
    for (;;) {
      const piece = this.#pieces[this.#at];
      this.#at += 1;
      if (piece === undefined) return { nodes, ending: undefined, rest: [] };
      if (piece.kind === "text") {
        if (piece.text !== "") nodes.push(piece);
        continue;
      }
      const [first, ...rest] = piece.tokens;
      if (first === undefined) continue;
      if (first.kind === "word" && (first.text === "end" || first.text === "else"))
        return { nodes, ending: first.text, rest };
      if (first.kind === "word" && first.text === "define") this.#define(rest);
      else nodes.push(this.#nodeOf(piece.tokens));
    }
  }

  #define([name]: readonly Token[]): void {
    const { nodes, ending } = this.#block();
    if (name?.kind !== "string" || ending !== "end") throw this.#error("define must have a name and an end");
    this.#definitions.set(name.text, nodes);
  }

  #nodeOf(tokens: readonly Token[]): Node {
    const [first, second] = tokens;
    if (first?.kind === "word" && (first.text === "if" || first.text === "with"))
      return this.#choice(first.text, tokens.slice(1));
    if (first?.kind === "word" && first.text === "range") return this.#range(tokens.slice(1));
    if (first?.kind === "variable" && second?.text === ":=")
      return { kind: "variable", name: first.text, value: this.#pipeline(tokens.slice(2)) };
    return { kind: "output", value: this.#pipeline(tokens) };
  }

  #choice(kind: "if" | "with", tokens: readonly Token[]): Node {
    const value = this.#pipeline(tokens);
    const block = this.#block();
    return { kind, value, body: block.nodes, otherwise: this.#otherwise(block) };
  }

  #otherwise({
    ending,
    rest,
  }: {
    readonly ending: string | undefined;
    readonly rest: readonly Token[];
  }): readonly Node[] {
    if (ending === undefined) throw this.#error("a block has no end");
    if (ending === "end") return [];
    // `else if` is a nested if, which consumes the `end`.
    if (rest.length > 0) return [this.#nodeOf(rest)];
    const { nodes, ending: last } = this.#block();
    if (last !== "end") throw this.#error("an else has no end");
    return nodes;
  }

  #range(tokens: readonly Token[]): Node {
    const assigned = tokens.findIndex(({ text }) => text === ":=");
    const names = tokens
      .slice(0, Math.max(0, assigned))
      .filter(({ kind }) => kind === "variable")
      .map(({ text }) => text);
    const value = this.#pipeline(tokens.slice(assigned + 1));
    const block = this.#block();
    return { kind: "range", names, value, body: block.nodes, otherwise: this.#otherwise(block) };
  }

  #pipeline(tokens: readonly Token[]): Expression {
    const reader = new ExpressionReader(tokens, (message) => this.#error(message));
    return reader.whole();
  }

  #error(message: string): Error {
    return internalError("template-syntax", `${this.#name}: ${message}`);
  }
}

class ExpressionReader {
  readonly #tokens: readonly Token[];
  readonly #error: (message: string) => Error;
  #at = 0;

  constructor(tokens: readonly Token[], error: (message: string) => Error) {
    this.#tokens = tokens;
    this.#error = error;
  }

  whole(): Expression {
    const value = this.#pipeline();
    if (this.#at < this.#tokens.length)
      throw this.#error(`does not know what to do with ${this.#tokens[this.#at]?.text ?? ""}`);
    return value;
  }

  #is(mark: string): boolean {
    const token = this.#tokens[this.#at];
    return token?.kind === "mark" && token.text === mark;
  }

  #pipeline(): Expression {
    let value = this.#command(undefined);
    while (this.#is("|")) {
      this.#at += 1;
      value = this.#command(value);
    }
    return value;
  }

  #command(piped: Expression | undefined): Expression {
    const token = this.#tokens[this.#at];
    if (token?.kind === "word" && !["true", "false", "nil"].includes(token.text)) {
      this.#at += 1;
      return { kind: "call", name: token.text, args: [...this.#operands(), ...(piped === undefined ? [] : [piped])] };
    }
    const target = this.#operand();
    const args = [...this.#operands(), ...(piped === undefined ? [] : [piped])];
    return args.length === 0 ? target : { kind: "invoke", target, args };
  }

  #operands(): Expression[] {
    const operands: Expression[] = [];
    while (this.#at < this.#tokens.length && !this.#is("|") && !this.#is(")")) operands.push(this.#operand());
    return operands;
  }

  #operand(): Expression {
    let value = this.#primary();
    for (;;) {
      const token = this.#tokens[this.#at];
      if (token?.kind !== "field" || token.apart) return value;
      this.#at += 1;
      value = { kind: "field", of: value, name: token.text };
    }
  }

  #primary(): Expression {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw this.#error("an expression ends too early");
    this.#at += 1;
    switch (token.kind) {
      case "string":
        return { kind: "literal", value: token.text };
      case "number":
        return { kind: "literal", value: Number(token.text) };
      case "variable":
        return { kind: "variable", name: token.text };
      case "field":
        return { kind: "field", of: { kind: "dot" }, name: token.text };
      case "word":
        return this.#word(token.text);
      case "mark":
        return this.#mark(token.text);
    }
  }

  /** Parses a function without arguments, or one of the words `true`, `false` and `nil`. */
  #word(text: string): Expression {
    if (text === "true" || text === "false") return { kind: "literal", value: text === "true" };
    if (text === "nil") return { kind: "literal", value: undefined };
    return { kind: "call", name: text, args: [] };
  }

  #mark(text: string): Expression {
    if (text === ".") return { kind: "dot" };
    if (text !== "(") throw this.#error(`did not expect ${text}`);
    const inner = this.#pipeline();
    if (!this.#is(")")) throw this.#error("a parenthesis is not closed");
    this.#at += 1;
    return inner;
  }
}
