// Parses the text form of label selectors. Accepts and refuses the same texts as kube-apiserver.
import { ownField } from "../../base/index.ts";
import { checkLabelValue, checkQualifiedName } from "../schema/names.ts";
import { badRequest } from "./status.ts";

export type LabelTest = (labels: Readonly<Record<string, string>>) => boolean;

interface Token {
  readonly kind: "identifier" | "end" | "in" | "notin" | "=" | "==" | "!=" | "!" | "(" | ")" | "," | ">" | "<";
  readonly text: string;
}

const tokenPattern = /==|!=|[=!(),<>]|[^\s=!(),<>]+/g;
const operators = "in, notin, =, ==, !=, gt, lt";

function tokensOf(text: string): Token[] {
  const tokens = [...text.matchAll(tokenPattern)].map(([word]): Token => {
    const isWord = /^[^=!(),<>]/.test(word) && word !== "in" && word !== "notin";
    return { kind: isWord ? "identifier" : (word as Token["kind"]), text: word };
  });
  return [...tokens, { kind: "end", text: "" }];
}

/**
 * Parses a selector such as `a=b,c in (d,e),!f`. Returns undefined for an empty selector, which selects everything.
 * Throws 400 for an invalid one.
 */
export function parseLabelSelector(text: string | null): LabelTest | undefined {
  if (text === null || text.trim() === "") return undefined;
  const reader = new SelectorReader(tokensOf(text));
  const tests = reader.requirements();
  return (labels) => tests.every((test) => test(labels));
}

class SelectorReader {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  requirements(): LabelTest[] {
    const tests: LabelTest[] = [];
    for (;;) {
      const first = this.#peek();
      if (first.kind === "end") return tests;
      if (!startsRequirement(first))
        throw badRequest(`found '${first.text}', expected: !, identifier, or 'end of string'`);
      tests.push(this.#requirement());
      const next = this.#take();
      if (next.kind === "end") return tests;
      if (next.kind !== ",") throw badRequest(`found '${next.text}', expected: ',' or 'end of string'`);
      const after = this.#peek();
      if (!startsRequirement(after)) throw badRequest(`found '${after.text}', expected: identifier after ','`);
    }
  }

  #requirement(): LabelTest {
    const isAbsence = this.#peek().kind === "!";
    if (isAbsence) this.#at++;
    const named = this.#take();
    if (!isName(named)) throw unreadable(`found '${named.text}', expected: identifier`);
    const key = named.text;
    const problems = checkQualifiedName(key);
    if (problems.length > 0) throw unreadable(`<nil>: Invalid value: ${JSON.stringify(key)}: ${problems.join("; ")}`);
    const next = this.#peek().kind;
    if (isAbsence || next === "end" || next === ",") return (labels) => Object.hasOwn(labels, key) !== isAbsence;
    const operator = this.#take();
    switch (operator.kind) {
      case "in":
      case "notin": {
        const values = this.#values(key);
        const isIn = operator.kind === "in";
        return (labels) => (Object.hasOwn(labels, key) && values.has(labels[key] ?? "")) === isIn;
      }
      case "=":
      case "==":
      case "!=": {
        const value = checked(key, this.#exactValue());
        return (labels) => (labels[key] === value) === (operator.kind !== "!=");
      }
      case ">":
      case "<":
        return orderTest(key, operator.kind, this.#exactValue());
      default:
        throw unreadable(`found '${operator.text}', expected: ${operators}`);
    }
  }

  #values(key: string): ReadonlySet<string> {
    const open = this.#take();
    if (open.kind !== "(") throw unreadable(`found '${open.text}' expected: '('`);
    const values = new Set<string>();
    for (;;) {
      const value = this.#peek();
      if (isName(value)) this.#at++;
      else if (value.kind !== "," && value.kind !== ")")
        throw unreadable(`found '${value.text}', expected: ',', ')' or identifier`);
      values.add(checked(key, isName(value) ? value.text : ""));
      const next = this.#take();
      if (next.kind === ")") return values;
      if (next.kind !== ",") throw unreadable(`found '${next.text}', expected: ',' or ')'`);
    }
  }

  #exactValue(): string {
    const value = this.#peek();
    if (value.kind === "end" || value.kind === ",") return "";
    this.#at++;
    if (!isName(value)) throw unreadable(`found '${value.text}', expected: identifier`);
    return value.text;
  }

  #peek(): Token {
    return this.#tokens[this.#at] ?? { kind: "end", text: "" };
  }

  #take(): Token {
    const token = this.#peek();
    this.#at++;
    return token;
  }
}

/** Whether a token can be a name. The words `in` and `notin` are names wherever an operator is not allowed. */
function isName({ kind }: Token): boolean {
  return kind === "identifier" || kind === "in" || kind === "notin";
}

function startsRequirement(token: Token): boolean {
  return isName(token) || token.kind === "!";
}

function unreadable(why: string): Error {
  return badRequest(`unable to parse requirement: ${why}`);
}

function checked(key: string, value: string): string {
  const problems = checkLabelValue(value);
  if (problems.length > 0)
    throw unreadable(`values[0][${key}]: Invalid value: ${JSON.stringify(value)}: ${problems.join("; ")}`);
  return value;
}

function orderTest(key: string, operator: ">" | "<", text: string): LabelTest {
  if (!/^[+-]?\d+$/.test(text))
    throw unreadable(
      `values[0]: Invalid value: ${JSON.stringify(text)}: for 'Gt', 'Lt' operators, the value must be an integer`,
    );
  const limit = Number(text);
  return (labels) => {
    const value = ownField(labels, key);
    if (value === undefined || !/^[+-]?\d+$/.test(value)) return false;
    return operator === ">" ? Number(value) > limit : Number(value) < limit;
  };
}
