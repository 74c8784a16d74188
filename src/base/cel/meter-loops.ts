/** Functions that only {@link meterLoops} calls. An expression cannot call them, because names in CEL contain no @. */
export const loopFunctions = { range: "@range", turn: "@turn", append: "@append" } as const;

// Kubernetes' costs of reading a name or a field, and of making a list or a map.
const accessCost = 1;
const listCost = 10;
const mapCost = 30;
const elementCost = 0.1;
/** The cost of the test whether a loop continues. */
const testCost = 1;

interface Expression {
  readonly id?: unknown;
  exprKind: { case?: string | undefined; value?: unknown };
}

interface Loop {
  accuInit?: Expression;
  iterRange?: Expression;
  loopCondition?: Expression;
  loopStep?: Expression;
  result?: Expression;
  accuVar: string;
}

interface List {
  readonly elements: readonly unknown[];
}

interface Struct {
  readonly entries: readonly unknown[];
}

interface Call {
  function: string;
  args: readonly Expression[];
}

/**
 * Changes every loop of a parsed expression, so that the loop's range and each turn are charged. Returns the cost of
 * the expression without its calls and loops.
 */
export function meterLoops(node: unknown): number {
  if (typeof node !== "object" || node === null || ArrayBuffer.isView(node)) return 0;
  const { exprKind } = node as Partial<Expression>;
  if (exprKind?.case === "comprehensionExpr") return meterLoop(exprKind.value as Loop);
  const inner = Object.values(node).reduce<number>((sum, child) => sum + meterLoops(child), 0);
  return inner + ownCost(exprKind);
}

/** Whether a parsed expression has a loop: `all`, `exists`, `exists_one`, `filter`, `map`. */
export function hasLoop(node: unknown): boolean {
  if (typeof node !== "object" || node === null || ArrayBuffer.isView(node)) return false;
  return (
    (node as Partial<Expression>).exprKind?.case === "comprehensionExpr" ||
    Object.values(node).some((child) => hasLoop(child))
  );
}

function ownCost(kind: Expression["exprKind"] | undefined): number {
  switch (kind?.case) {
    case "identExpr":
    case "selectExpr":
      return accessCost;
    case "listExpr":
      return listCost + Math.floor((kind.value as List).elements.length * elementCost);
    case "structExpr":
      return mapCost + Math.floor((kind.value as Struct).entries.length * elementCost);
    default:
      return 0;
  }
}

function meterLoop(loop: Loop): number {
  const around = meterLoops(loop.accuInit) + meterLoops(loop.iterRange) + meterLoops(loop.result);
  const turnCost = testCost + meterLoops(loop.loopCondition) + meterLoops(loop.loopStep);
  appendInPlace(loop.loopStep, loop.accuVar);
  if (loop.iterRange !== undefined) loop.iterRange = call(loopFunctions.range, [loop.iterRange]);
  if (loop.loopCondition !== undefined)
    loop.loopCondition = call(loopFunctions.turn, [loop.loopCondition, integer(turnCost, loop.loopCondition.id)]);
  return around;
}

/**
 * Lets a loop that builds a list append to the list in place. Copying the list in every turn would take quadratic time.
 */
function appendInPlace(step: Expression | undefined, accumulator: string): void {
  if (step?.exprKind.case !== "callExpr") return;
  const made = step.exprKind.value as Call;
  const [first, second] = made.args;
  const isAccumulator =
    first?.exprKind.case === "identExpr" && (first.exprKind.value as { readonly name: string }).name === accumulator;
  if (made.function === "_+_" && isAccumulator && second?.exprKind.case === "listExpr")
    made.function = loopFunctions.append;
  else if (made.function === "_?_:_") for (const branch of made.args) appendInPlace(branch, accumulator);
}

function call(name: string, args: readonly Expression[]): Expression {
  const value = { $typeName: "cel.expr.Expr.Call", function: name, args };
  return { $typeName: "cel.expr.Expr", id: args[0]?.id, exprKind: { case: "callExpr", value } } as Expression;
}

function integer(value: number, id: unknown): Expression {
  const constant = { $typeName: "cel.expr.Constant", constantKind: { case: "int64Value", value: BigInt(value) } };
  return { $typeName: "cel.expr.Expr", id, exprKind: { case: "constExpr", value: constant } } as Expression;
}
