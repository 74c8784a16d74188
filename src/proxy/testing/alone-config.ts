import { silentLogger, systemClock } from "../../base/index.ts";
import type { XdsUpdate } from "../../dataplane/index.ts";
import { AppliedConfig, type AppliedConfigOptions } from "../applied-config.ts";

/**
 * A configuration outside of a proxy, and a function that applies an update to it. No name resolves to an address, and
 * nothing connects.
 */
export function aloneConfig({
  random = Math.random,
  ...options
}: Partial<AppliedConfigOptions> & { readonly random?: () => number } = {}): {
  config: AppliedConfig;
  apply: (update: XdsUpdate) => Promise<void>;
} {
  const connector = { connect: () => Promise.reject(new Error("nobody connects")) };
  const config = new AppliedConfig({
    runtime: { connector, clock: systemClock, random },
    resolve: () => Promise.resolve({ addresses: [] }),
    clock: systemClock,
    log: silentLogger,
    ...options,
  });
  const apply = async (update: XdsUpdate): Promise<void> => {
    await config
      .subscriptions()
      .find(({ typeUrl }) => typeUrl === update.typeUrl)
      ?.apply(update);
  };
  return { config, apply };
}
