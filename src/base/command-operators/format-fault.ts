import { matchAt } from "../match-at.ts";
import { truncated } from "../message-text.ts";
import { nameFaults, operatorForms, operatorNames, type OperatorForm } from "./operators.ts";

/** Where a format is used. In header values, Envoy also translates an older operator. */
export type FormatPlace = "header" | "tag";

/** The maximum number of bytes of a header's value in Envoy. */
const maxFormatBytes = 16_384;

/** The maximum number of characters of an expression in a format. It is stricter than Envoy's. */
const maxExpressionLength = 1024;
/** The maximum number of characters of a format that a message quotes. */
const maxShown = 100;
const celNames: ReadonlySet<string> = new Set(["CEL", "TYPED_CEL"]);

/** Why Envoy does not accept an expression of `%CEL(…)%`. Undefined if Envoy accepts it. */
export type ExpressionFault = (expression: string) => string | undefined;

/** The argument ends at the first parenthesis before a percent sign, or before a length and a percent sign. */
const operator = /%(?<name>[A-Z0-9_]+)(?:\((?<argument>[^\n]*?)\))?(?::(?<length>\d{1,18}))?%/y;
/** What looks like the start of an operator, for a message. */
const start = /%[A-Z0-9_]*/y;

/**
 * Why some version of Envoy from 1.37 to 1.40 does not accept a format, such as `has %PROTOCOL:5%, …`. Undefined if all
 * of them accept it.
 *
 * Because of one format, Envoy rejects a whole route table or listener, and those of a gateway or waypoint serve other
 * namespaces too. So this function allows only what all of these versions are known to accept.
 */
export function formatFault(format: string, place: FormatPlace, expressionFault: ExpressionFault): string | undefined {
  const tooLong = lengthFault(format);
  if (tooLong !== undefined) return tooLong;
  for (let at = format.indexOf("%"); at !== -1; at = format.indexOf("%", at)) {
    if (format.startsWith("%%", at)) {
      at += 2;
      continue;
    }
    const found = matchAt(operator, format, at);
    if (found?.groups === undefined) {
      const begun = matchAt(start, format, at)?.[0] ?? "%";
      return `must write a percent sign as %%, or end the variable that ${truncated(begun, maxShown)} begins, as %NAME% or %NAME(argument):length%, got ${JSON.stringify(truncated(format, maxShown))}`;
    }
    const fault = operatorFault(found.groups, place, expressionFault);
    if (fault !== undefined)
      return `has ${truncated(found[0], maxShown)}, which not all proxies can substitute: ${fault}. Correct it, or write a percent sign as %%`;
    at += found[0].length;
  }
  return undefined;
}

/** The expressions of `%CEL(…)%` in a format. It stops at the first fault of the format. */
export function celExpressions(format: string): string[] {
  const found: string[] = [];
  for (let at = format.indexOf("%"); at !== -1; at = format.indexOf("%", at)) {
    const isEscaped = format.startsWith("%%", at);
    const match = isEscaped ? undefined : matchAt(operator, format, at);
    if (!isEscaped && match === undefined) break;
    const { name = "", argument } = match?.groups ?? {};
    if (argument !== undefined && celNames.has(name)) found.push(argument);
    at += match?.[0].length ?? "%%".length;
  }
  return found;
}

/** The fault of a text that is too long to be a header's value. */
export function lengthFault(text: string): string | undefined {
  return text.length > maxFormatBytes || new TextEncoder().encode(text).length > maxFormatBytes
    ? `must not have more than ${maxFormatBytes} bytes`
    : undefined;
}

function operatorFault(
  { name = "", argument, length }: Readonly<Partial<Record<string, string>>>,
  place: FormatPlace,
  expressionFault: ExpressionFault,
): string | undefined {
  const form = operatorForms.get(name);
  if (form === undefined)
    return (
      nameFaults.get(name) ??
      (operatorNames.has(name)
        ? `only some of Envoy's versions have ${name}`
        : `there is no variable with the name ${truncated(name, maxShown)}`)
    );
  if (name === "PER_REQUEST_STATE" && place !== "header") return `${name} is only for headers`;
  if (length !== undefined && !form.takesLength) return `${name} takes no length`;
  return argumentFault(name, form, argument) ?? celFault(name, argument, expressionFault);
}

function argumentFault(name: string, form: OperatorForm, argument: string | undefined): string | undefined {
  if (argument === undefined)
    return form.argument === "always" ? `${name} needs ${form.expected ?? "an argument"} in parentheses` : undefined;
  if (form.argument === "never") return `${name} takes no argument`;
  if (form.argument === "always" && argument === "")
    return `${name} needs ${form.expected ?? "an argument"} in parentheses`;
  return form.pattern?.test(argument) === false ? `${name} takes ${form.expected ?? "another argument"}` : undefined;
}

function celFault(name: string, argument = "", expressionFault: ExpressionFault): string | undefined {
  if (!celNames.has(name)) return undefined;
  if (argument.length > maxExpressionLength) return `${name} takes at most ${maxExpressionLength} characters here`;
  const fault = expressionFault(argument);
  return fault === undefined ? undefined : `${name} needs an expression that Envoy takes, and ${fault}`;
}
