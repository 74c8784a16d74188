import { moduleCache, matchAt, truncated } from "../../../base/index.ts";
import { maxProgramSize } from "../../../base/regex-size/index.ts";
import { maxExpressionLength, maxShown, readExpression } from "./cel-expression.ts";
import { regexFault } from "./regular-expressions.ts";

/** Envoy's limit for the levels of an expression, and for the parentheses that are open at once. */
const maxDepth = 32;
/** Envoy's limit for the instructions of a regular expression within an expression. */
const maxPatternSize = 100;
/** The longest regular expression to count instructions for. A longer one always has more than `maxPatternSize`. */
const maxPatternLength = 1024;

interface Verdict {
  readonly fault: string | undefined;
  readonly envoyFault: string | undefined;
}

const maxVerdicts = 4096;
const maxCharacters = 1_048_576;
/**
 * The verdicts by expression. An object often contains the same expression several times, and each needs two verdicts.
 * The expressions of one namespace can push all others out of this cache, so code that needs a verdict more than once
 * must store it with the object, as the translation does.
 */
const verdicts = moduleCache<string, Verdict>("verdicts-of-expressions", maxVerdicts);
let keptCharacters = 0;

function verdictOf(expression: string): Verdict {
  const known = verdicts.get(expression);
  if (known !== undefined) return known;
  const read = readExpression(expression);
  const verdict =
    "fault" in read
      ? { fault: read.fault, envoyFault: `it ${read.fault}` }
      : { fault: undefined, envoyFault: treeFault(expression, read.tree) };
  if (expression.length > maxExpressionLength) return verdict;
  if (verdicts.size === 0 || keptCharacters + expression.length > maxCharacters || verdicts.size >= maxVerdicts) {
    verdicts.clear();
    keptCharacters = 0;
  }
  keptCharacters += expression.length;
  verdicts.set(ownCopy(expression), { fault: ownCopy(verdict.fault), envoyFault: ownCopy(verdict.envoyFault) });
  return verdict;
}

/**
 * A copy of the text. V8 keeps a whole string in memory as long as a substring of it is in use, and an expression is
 * usually a substring of a format.
 */
function ownCopy<Text extends string | undefined>(text: Text): Text {
  return text === undefined ? text : (JSON.parse(JSON.stringify(text)) as Text);
}

/**
 * The fault of an expression for every proxy: a syntax error, a loop, or too many levels. Undefined if it has none. If
 * the filter of an access log has a fault, a proxy rejects the whole listener.
 */
export function celFault(expression: string): string | undefined {
  return verdictOf(expression).fault;
}

/**
 * Why an Envoy does not accept an expression that has no `celFault`, such as "it calls string with 1 argument".
 * Undefined if an Envoy accepts it. An Envoy rejects a whole listener for an expression that it does not accept, and a
 * waypoint's listener serves other namespaces too. So this function allows only what Envoy is known to accept.
 */
export function envoyCelFault(expression: string): string | undefined {
  return verdictOf(expression).envoyFault;
}

function treeFault(expression: string, tree: unknown): string | undefined {
  const { rest, fault: literalFault } = withoutLiterals(expression);
  if (literalFault !== undefined) return literalFault;
  return nodeFault(tree, maxDepth - nesting(rest));
}

const rawLiteral =
  /\b(?:[rR][bB]?|[bB][rR])(?:"""(?<a>[^]*?)"""|'''(?<b>[^]*?)'''|"(?<c>[^"\n\r]*)"|'(?<d>[^'\n\r]*)')/y;
const literal =
  /(?<bytes>\b[bB])?(?:"""(?<a>(?:\\[^]|[^\\])*?)"""|'''(?<b>(?:\\[^]|[^\\])*?)'''|"(?<c>(?:\\.|[^\\"\n\r])*)"|'(?<d>(?:\\.|[^\\'\n\r])*)')/y;
const escapes = /\\(?:[abfnrtv"'`?\\]|[xX][\da-fA-F]{2}|[0-3][0-7]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8})/g;
const bytesEscapes = /\\(?:[abfnrtv"'`?\\]|[xX][\da-fA-F]{2}|[0-3][0-7]{2})/g;

/**
 * The expression without its string literals, and the fault of a literal, if any. Brackets in literals must not count
 * as nesting.
 */
function withoutLiterals(expression: string): { readonly rest: string; readonly fault?: string } {
  let rest = "";
  for (let at = 0; at < expression.length;) {
    const raw = matchAt(rawLiteral, expression, at);
    const found = raw ?? matchAt(literal, expression, at);
    if (found === undefined) {
      rest += expression[at] ?? "";
      at += 1;
      continue;
    }
    at += found[0].length;
    const { a, b, c, d, bytes } = found.groups ?? {};
    const text = a ?? b ?? c ?? d ?? "";
    const isWrong =
      raw === undefined
        ? text.replaceAll(bytes === undefined ? escapes : bytesEscapes, "").includes("\\")
        : text.endsWith("\\");
    if (isWrong)
      return {
        rest,
        fault: `it has the text ${truncated(found[0], maxShown)} with an escape that Envoy does not know`,
      };
  }
  return /["'`\\]/.test(rest) ? { rest, fault: "it has a quote or backslash outside of a string" } : { rest };
}

/** The maximum number of brackets that are open at once. */
function nesting(text: string): number {
  let open = 0;
  let most = 0;
  for (const character of text) {
    if ("([{".includes(character)) most = Math.max(most, (open += 1));
    else if (")]}".includes(character)) open -= 1;
  }
  return most;
}

interface Call {
  readonly function: string;
  readonly target?: Expression | undefined;
  readonly args: readonly Expression[];
}

interface Expression {
  readonly exprKind?: { readonly case?: string | undefined; readonly value?: unknown } | undefined;
}

const conversions = "bool bytes double duration dyn int timestamp type uint".split(" ");
const timeParts =
  "getDate getDayOfMonth getDayOfWeek getDayOfYear getFullYear getHours getMilliseconds getMinutes getMonth getSeconds".split(
    " ",
  );
/**
 * The forms in which Envoy's functions can be called: the number of arguments, with an `m` if the function is called as
 * a method.
 */
const functions: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ...conversions.map((name) => [name, ["1"]] as const),
  ...timeParts.map((name) => [name, ["m0", "m1"]] as const),
  ...["contains", "endsWith", "startsWith", "matches"].map((name) => [name, ["m1", "2"]] as const),
  ["size", ["1", "m0"]],
  ["re.extract", ["m3"]],
  ["re.capture", ["m2"]],
  ["re.captureN", ["m2"]],
]);

/** The first fault in a tree. `depth` is the number of levels that it may have. */
function nodeFault(node: unknown, depth: number): string | undefined {
  if (typeof node !== "object" || node === null || ArrayBuffer.isView(node)) return undefined;
  const { exprKind } = node as Expression;
  if (exprKind !== undefined && depth <= 0) return `it has more than ${maxDepth} levels of operators and parentheses`;
  const fault = exprKind === undefined ? undefined : kindFault(exprKind);
  if (fault !== undefined) return fault;
  for (const child of Object.values(node)) {
    const inner = nodeFault(child, exprKind === undefined ? depth : depth - 1);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

function kindFault({ case: kind, value }: NonNullable<Expression["exprKind"]>): string | undefined {
  switch (kind) {
    case "callExpr": {
      const call = value as Call;
      // The parser's own operators, such as `_+_` and `@in`, are not words, and Envoy knows them all.
      return /^\w+$/.test(call.function) ? callFault(call) : undefined;
    }
    case "constExpr":
      return numberFault(value as Constant);
    case "structExpr": {
      const { messageName } = value as { readonly messageName: string };
      return messageName === "" ? undefined : `it makes a message ${truncated(messageName, maxShown)}`;
    }
    default:
      return undefined;
  }
}

function callFault({ function: name, target, args }: Call): string | undefined {
  const form = `${target === undefined ? "" : "m"}${args.length}`;
  const { case: kind, value } = target?.exprKind ?? {};
  const ofRe = kind === "identExpr" && (value as { readonly name: string }).name === "re";
  const forms = functions.get(name) ?? (ofRe ? functions.get(`re.${name}`) : undefined);
  if (forms?.includes(form) !== true)
    return `it calls ${truncated(name, maxShown)} with ${args.length} ${args.length === 1 ? "argument" : "arguments"}, and Envoy has no such function`;
  const pattern = name === "matches" ? textOf(args.at(-1)) : undefined;
  if (pattern === undefined || pattern === "") return undefined;
  if (pattern.length > maxPatternLength || maxProgramSize(pattern) > maxPatternSize)
    return `it has a regular expression in matches that may have more than Envoy's ${maxPatternSize} instructions`;
  const fault = regexFault(pattern);
  return fault === undefined ? undefined : `it has a regular expression in matches that ${fault}`;
}

interface Constant {
  readonly constantKind?: { readonly case?: string; readonly value?: unknown };
}

/** Checks that a whole number fits into 64 bits, because the parser accepts any size. */
function numberFault({ constantKind }: Constant): string | undefined {
  const { case: kind, value } = constantKind ?? {};
  if (typeof value !== "bigint") return undefined;
  const fits = kind === "uint64Value" ? BigInt.asUintN(64, value) === value : BigInt.asIntN(64, value) === value;
  return fits ? undefined : `it has the number ${value}, which does not fit into 64 bits`;
}

function textOf(expression: Expression | undefined): string | undefined {
  if (expression?.exprKind?.case !== "constExpr") return undefined;
  const { case: kind, value } = (expression.exprKind.value as Constant).constantKind ?? {};
  return kind === "stringValue" && typeof value === "string" ? value : undefined;
}
