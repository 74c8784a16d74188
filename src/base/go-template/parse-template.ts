import { parsePipeline } from "./expression.ts";
import { malformed } from "./malformed.ts";
import { piecesOf, type Piece } from "./pieces.ts";
import type { ParsedTemplate, TemplateNode } from "./syntax.ts";

/**
 * The maximum depth of nested blocks, because the parser recurses for each level. Real templates have a handful of
 * levels.
 */
const maxNesting = 100;

/** Throws a user error with the fault and its position if the text is not a template. */
export function parseTemplate(text: string): ParsedTemplate {
  return new TemplateParser(piecesOf(text)).parse();
}

class TemplateParser {
  readonly #pieces: readonly Piece[];
  readonly #defined = new Map<string, readonly TemplateNode[]>();
  #at = 0;
  #nesting = 0;

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  parse(): ParsedTemplate {
    const { nodes, end } = this.#nodes();
    if (end !== undefined) throw malformed(`"${end}" without a beginning`);
    return { body: nodes, defined: this.#defined };
  }

  /** Parses up to the end of the text, or up to an `end` or `else`, which it returns as `end`. */
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
        return this.#nested(() => this.#branch(word, rest));
      case "define":
        this.#defined.set(
          nameIn(rest),
          this.#nested(() => this.#closed(`define ${rest}`)),
        );
        return undefined;
      case "template": {
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

  #nested<Node>(parse: () => Node): Node {
    if (this.#nesting >= maxNesting) throw malformed(`blocks are nested more than ${maxNesting} levels deep`);
    this.#nesting += 1;
    const node = parse();
    this.#nesting -= 1;
    return node;
  }

  #branch(kind: "if" | "with" | "range", condition: string): TemplateNode {
    const pipeline = parsePipeline(condition);
    const { nodes: body, end } = this.#nodes();
    if (end === undefined) throw malformed(`"${kind} ${condition}" has no end`);
    if (end === "end") return { kind, pipeline, body, otherwise: [] };
    const [, next, nextCondition = ""] = /^else\s+(if|with)\s+([\s\S]+)$/.exec(end) ?? [];
    // An `else if` has no `end` of its own.
    const otherwise =
      next === undefined
        ? this.#closed(`${kind} ${condition}`)
        : [this.#nested(() => this.#branch(next as "if", nextCondition))];
    return { kind, pipeline, body, otherwise };
  }

  #closed(keyword: string): readonly TemplateNode[] {
    const { nodes, end } = this.#nodes();
    if (end !== "end") throw malformed(`"${keyword}" has no end`);
    return nodes;
  }
}

function nameIn(text: string): string {
  const [, quoted, raw] = /^(?:"([^"]*)"|`([^`]*)`)/.exec(text) ?? [];
  const name = quoted ?? raw;
  if (name === undefined) throw malformed(`"${text}" should begin with a name in quotes`);
  return name;
}
