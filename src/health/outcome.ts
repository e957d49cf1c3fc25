// How one probe ended.

export type Outcome =
  | { readonly kind: 'success' }
  | { readonly kind: 'failure'; readonly reason: FailureReason; readonly detail: string }
  /** The probe could not be sent, for want of something on this host: that says nothing of the machine. */
  | { readonly kind: 'unsent'; readonly detail: string };

/** Azure's words for what is wrong with a machine. */
export type FailureReason =
  | 'Down_Probe_TcpProbeTimeout'
  | 'Down_Probe_HttpEndpointUnreachable'
  | 'Down_Probe_HttpStatusCodeError';

/** All of Azure's that a probe can lead to. */
export type ProbeReason =
  | FailureReason
  | 'Up_Probe_Success'
  | 'Up_Probe_ApproachingUnhealthyThreshold'
  | 'Down_Probe_ApproachingHealthyThreshold'
  | 'NA';

export const success: Outcome = { kind: 'success' };
