import {
  type ConciseBody,
  createSourceFile,
  type Expression,
  forEachChild,
  isArrowFunction,
  isBinaryExpression,
  isBlock,
  isCatchClause,
  isConditionalExpression,
  isFunctionLike,
  isIfStatement,
  isIterationStatement,
  isLiteralTypeNode,
  isNumericLiteral,
  isStringLiteralLike,
  type Node,
  ScriptTarget,
  type Statement,
  SyntaxKind,
  isCaseOrDefaultClause,
  isImportDeclaration,
  isExportDeclaration,
  type FunctionLikeDeclaration,
} from "typescript";

export interface Instrumented {
  readonly text: string;
  readonly blocks: number;
  /** Texts and numbers that the source may compare its input with. */
  readonly words: readonly string[];
  readonly numbers: readonly number[];
}

export const countersName = "__fuzzCounters";

const logical = new Set([SyntaxKind.AmpersandAmpersandToken, SyntaxKind.BarBarToken, SyntaxKind.QuestionQuestionToken]);
const maxWordLength = 40;

/**
 * Adds a counter to each block of a source: each function, branch, loop, case, and right side of a logical operator.
 */
export function instrument(source: string, file: string, firstBlock: number): Instrumented {
  const tree = createSourceFile(file, source, ScriptTarget.Latest, true);
  const insertions: { readonly at: number; readonly text: string; readonly rank: number }[] = [];
  const words = new Set<string>();
  const numbers = new Set<number>();
  let blocks = 0;
  const count = (): string => `${countersName}[${firstBlock + blocks++}]++`;
  // At the same place, text that closes a block comes before text that opens one, and an outer opening before an inner
  // one.
  const open = (at: number, text: string): void => void insertions.push({ at, text, rank: insertions.length + 1 });
  const close = (at: number, text: string): void => void insertions.push({ at, text, rank: -insertions.length - 1 });
  const statement = (node: Statement | undefined): void => {
    if (node === undefined) return;
    if (isBlock(node)) return open(node.getStart() + 1, `${count()};`);
    open(node.getStart(), `{${count()};`);
    close(node.end, "}");
  };
  const expression = (node: Expression | ConciseBody): void => {
    open(node.getStart(), `(${count()},`);
    close(node.end, ")");
  };
  const visit = (node: Node): void => {
    if (isImportDeclaration(node) || isExportDeclaration(node) || isLiteralTypeNode(node)) return;
    if (isStringLiteralLike(node) && node.text.length > 0 && node.text.length <= maxWordLength) words.add(node.text);
    if (isNumericLiteral(node)) numbers.add(Number(node.text.replaceAll("_", "")));
    if (isIfStatement(node)) {
      statement(node.thenStatement);
      if (node.elseStatement?.kind !== SyntaxKind.IfStatement) statement(node.elseStatement);
    } else if (isIterationStatement(node, false)) statement(node.statement);
    else if (isConditionalExpression(node)) {
      expression(node.whenTrue);
      expression(node.whenFalse);
    } else if (isBinaryExpression(node) && logical.has(node.operatorToken.kind)) expression(node.right);
    else if (isCaseOrDefaultClause(node)) open(colonAfter(node.statements.pos, source), `${count()};`);
    else if (isCatchClause(node)) statement(node.block);
    else if (isFunctionLike(node)) {
      const { body } = node as FunctionLikeDeclaration;
      if (body !== undefined) {
        if (isBlock(body)) statement(body);
        else if (isArrowFunction(node)) expression(body);
      }
    }
    forEachChild(node, visit);
  };
  visit(tree);
  insertions.sort((a, b) => a.at - b.at || a.rank - b.rank);
  const parts = [`const ${countersName}=globalThis.${countersName};`];
  let at = 0;
  for (const insertion of insertions) {
    parts.push(source.slice(at, insertion.at), insertion.text);
    at = insertion.at;
  }
  parts.push(source.slice(at));
  return { text: parts.join(""), blocks, words: [...words], numbers: [...numbers] };
}

/** Returns the position after the clause's colon, where its statements begin. */
function colonAfter(at: number, source: string): number {
  return source[at - 1] === ":" ? at : source.indexOf(":", at) + 1;
}
