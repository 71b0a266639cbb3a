/// <reference types="novnc__novnc" />
/** The package exports its client under its own name; its types still name the older path. */
declare module '@novnc/novnc' {
  import RFB from '@novnc/novnc/lib/rfb'
  export default RFB
}
