/** A certificate that signs itself, for one Service: PEM. */
export interface WebhookCertificate {
  readonly certificate: string;
  readonly privateKey: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}
