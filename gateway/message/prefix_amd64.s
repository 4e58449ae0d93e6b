// SPDX-License-Identifier: EUPL-1.2

#include "textflag.h"

// MISSES sets in R9 a bit for each octet in IN that is in no class: both its nibbles are looked up, and what they find has
// no bit in common. Y1 and Y2 are the sets, Y3 is 0x0f everywhere, Y4 is zero.
#define MISSES(IN, HI, LOWS, HIGHS, MASK, ZERO) \
	VPSRLW    $4, IN, HI       \
	VPAND     MASK, IN, IN     \
	VPAND     MASK, HI, HI     \
	VPSHUFB   IN, LOWS, IN     \
	VPSHUFB   HI, HIGHS, HI    \
	VPAND     HI, IN, IN       \
	VPCMPEQB  ZERO, IN, IN     \
	VPMOVMSKB IN, R9

// func prefix(b []byte, class *nibbleSets) int
TEXT ·prefix(SB), NOSPLIT, $0-40
	MOVQ b_base+0(FP), SI
	MOVQ b_len+8(FP), CX
	MOVQ class+24(FP), DX
	XORL AX, AX              // how many so far
	CMPB ·wide(SB), $1
	JNE  single
	VBROADCASTI128 (DX), Y1
	VBROADCASTI128 16(DX), Y2
	MOVL $0x0f0f0f0f, R8
	VMOVD R8, X3
	VPBROADCASTD X3, Y3
	VPXOR Y4, Y4, Y4

wide:
	LEAQ 32(AX), R10
	CMPQ R10, CX
	JGT  rest
	VMOVDQU (SI)(AX*1), Y5
	MISSES(Y5, Y6, Y1, Y2, Y3, Y4)
	TESTL R9, R9
	JNZ  found
	MOVQ R10, AX
	JMP  wide

rest:                        // fewer than 32
	LEAQ 16(AX), R10
	CMPQ R10, CX
	JGT  last
	VMOVDQU (SI)(AX*1), X5
	MISSES(X5, X6, X1, X2, X3, X4)
	TESTL R9, R9
	JNZ  found
	MOVQ R10, AX

last:                        // fewer than 16: what is read behind them does not count, but must be there to be read
	CMPQ AX, CX
	JGE  done
	LEAQ (SI)(AX*1), R11
	ANDL $0xfff, R11
	CMPL R11, $0xff0
	JHI  narrow
	VMOVDQU (SI)(AX*1), X5
	MISSES(X5, X6, X1, X2, X3, X4)
	ORL  $0x10000, R9
	BSFL R9, R9
	ADDQ R9, AX
	CMPQ AX, CX
	CMOVQGT CX, AX
	JMP  done

found:
	BSFL R9, R9
	ADDQ R9, AX

done:
	VZEROUPPER
	MOVQ AX, ret+32(FP)
	RET

narrow:
	VZEROUPPER

single:                      // octet by octet
	CMPQ AX, CX
	JGE  end
	MOVBLZX (SI)(AX*1), R9
	MOVL R9, R10
	ANDL $0xf, R9
	SHRL $4, R10
	MOVBLZX (DX)(R9*1), R9
	TESTB R9, 16(DX)(R10*1)
	JZ   end
	INCQ AX
	JMP  single

end:
	MOVQ AX, ret+32(FP)
	RET
