/** What a pilot tells of its proxies over HTTP, for whoever waits for a change to arrive (docs/contracts.md, "Pilot"). */

/** One element of `/debug/serin/proxies`. */
export interface ConnectedProxy {
  readonly id: string;
  readonly type: string;
  readonly namespace: string;
  readonly node: string;
  readonly version: string;
  readonly revision: string;
  /** RFC 3339. */
  readonly connectedAt: string;
  /** By type URL. `reason` is why the last push was rejected, null when it was not. */
  readonly types: Readonly<Record<string, { readonly sent: string; readonly acked: string; readonly nacked: string; readonly reason: string | null }>>;
}

/** What `/debug/serin/acknowledged` says of one proxy. */
export interface ProxyAcknowledgement {
  readonly id: string;
  readonly type: string;
  readonly connected: boolean;
  readonly acknowledged: boolean;
  readonly rejected: { readonly typeUrl: string; readonly reason: string } | null;
}

/** The answer of `/debug/serin/acknowledged`. */
export interface AcknowledgementReport {
  readonly revision: string;
  /** The model holds that version of the object, or a later one. */
  readonly processed: boolean;
  readonly proxies: readonly ProxyAcknowledgement[];
}
