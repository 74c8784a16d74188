import { userError } from "../../base/index.ts";

const mostMinorsUp = 2;
const mostMinorsDown = 1;

/**
 * The user error if the version `to` must not replace `from` in place. Undefined if it may, or if the versions cannot
 * be compared.
 */
export function versionSkew(from: string, to: string): Error | undefined {
  const [before, after] = [minorOf(from), minorOf(to)];
  if (before === undefined || after === undefined || before.major !== after.major) return undefined;
  const steps = after.minor - before.minor;
  if (steps > mostMinorsUp) {
    return userError(
      "version-skew",
      `Istio ${from} cannot be upgraded to ${to} in place: ${steps} minor releases at once are too many, and at most ${mostMinorsUp} are supported`,
      {
        hint: `upgrade to ${before.major}.${before.minor + mostMinorsUp} first, install ${to} beside it as a revision, or pass --force`,
      },
    );
  }
  if (-steps > mostMinorsDown) {
    return userError(
      "version-skew",
      `Istio ${from} cannot be downgraded to ${to} in place: ${-steps} minor releases back are too many, and at most ${mostMinorsDown} is supported`,
      {
        hint: `downgrade to ${before.major}.${before.minor - mostMinorsDown} first, install ${to} beside it as a revision, or pass --force`,
      },
    );
  }
  return undefined;
}

function minorOf(version: string): { readonly major: number; readonly minor: number } | undefined {
  const [, major, minor] = /^v?(\d+)\.(\d+)(?:\.|$|-)/.exec(version) ?? [];
  return major === undefined || minor === undefined ? undefined : { major: Number(major), minor: Number(minor) };
}
