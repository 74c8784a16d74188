import type { ExchangeRecord } from "../http/exchange-record.ts";

/** A copy of a record, which is kept while the record itself stands for the next exchange; one is filled again and again. */
export class KeptRecord implements ExchangeRecord {
  startedMs = 0;
  durationMs = 0;
  method = "";
  pathAndQuery = "";
  protocol: ExchangeRecord["protocol"] = "HTTP/1.1";
  authority = "";
  status = 0;
  flag: ExchangeRecord["flag"] = 0;
  details = "";
  transportFailure = "";
  receivedBytes = 0;
  sentBytes = 0;
  upstreamServiceMs = -1;
  requestId = "";
  forwardedFor = "";
  userAgent = "";
  routeName = "";
  operation = "";
  retries = 0;
  trace: ExchangeRecord["trace"];
  cluster: ExchangeRecord["cluster"];
  endpoint: ExchangeRecord["endpoint"];
  upstreamLocal = "";
  downstreamLocal = "";
  downstreamRemote = "";
  connection: ExchangeRecord["connection"];
  requestedServerName = "";
  downstreamPeer: ExchangeRecord["downstreamPeer"];
  upstreamPeer: ExchangeRecord["upstreamPeer"];
  isGrpc = false;
  grpcStatus = "";
  requestMessages = 0;
  responseMessages = 0;
  metadata: ExchangeRecord["metadata"];
  trailers: readonly string[] = [];
  capturedRequest: readonly string[] = [];
  capturedResponse: readonly string[] = [];

  constructor(record: ExchangeRecord) {
    this.connection = record.connection;
    this.take(record);
  }

  take(record: ExchangeRecord): void {
    this.startedMs = record.startedMs;
    this.durationMs = record.durationMs;
    this.method = record.method;
    this.pathAndQuery = record.pathAndQuery;
    this.protocol = record.protocol;
    this.authority = record.authority;
    this.status = record.status;
    this.flag = record.flag;
    this.details = record.details;
    this.transportFailure = record.transportFailure;
    this.receivedBytes = record.receivedBytes;
    this.sentBytes = record.sentBytes;
    this.upstreamServiceMs = record.upstreamServiceMs;
    this.requestId = record.requestId;
    this.forwardedFor = record.forwardedFor;
    this.userAgent = record.userAgent;
    this.routeName = record.routeName;
    this.operation = record.operation;
    this.retries = record.retries;
    this.trace = record.trace;
    this.cluster = record.cluster;
    this.endpoint = record.endpoint;
    this.upstreamLocal = record.upstreamLocal;
    this.downstreamLocal = record.downstreamLocal;
    this.downstreamRemote = record.downstreamRemote;
    this.connection = record.connection;
    this.requestedServerName = record.requestedServerName;
    this.downstreamPeer = record.downstreamPeer;
    this.upstreamPeer = record.upstreamPeer;
    this.isGrpc = record.isGrpc;
    this.grpcStatus = record.grpcStatus;
    this.requestMessages = record.requestMessages;
    this.responseMessages = record.responseMessages;
    this.metadata = record.metadata;
    this.trailers = record.trailers;
    this.capturedRequest = record.capturedRequest;
    this.capturedResponse = record.capturedResponse;
  }
}
